"""The interface of a way to write masks as words, and how to find such masks in an answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stamp.pictures.masks import Mask


class Location(NamedTuple):
    """What a token stands for. kind: what its coordinates, 0..1, measure."""

    kind: str
    coordinates: tuple[float, ...] = ()


class MaskTextError(ValueError):
    """Words that were meant as a mask but cannot be read as one."""


@dataclass(frozen=True)
class Piece:
    """Part of an answer: words, or text meant as a mask. start: index of its first character in the answer."""

    start: int
    text: str
    is_mask: bool


class MaskText(Protocol):
    """One format. `tokens` writes a mask, `pieces` finds masks among words, and `draw` reads them."""

    @property
    def name(self) -> str:
        """The method that uses it."""

    @property
    def vocabulary(self) -> Mapping[str, Location]:
        """Every token with what it stands for."""

    def tokens(self, mask: Mask) -> list[str]:
        """The tokens of an (h, w) mask; joined, they are its text."""

    def places(self, tokens: Sequence[str], grid_hw: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
        """For each token of a mask, the (P,) shares 0..1 of the grid's cells that it stands for; none for some."""

    def pieces(self, answer: str) -> Iterator[Piece]:
        """An answer cut into words and masks, complete. A mask may be damaged; `draw` finds out."""

    def draw(self, text: str, image: Image.Image) -> Mask:
        """The mask that a text describes: bool (H, W), at the picture's size. Raises MaskTextError."""


def cut(answer: str, spans: Iterator[tuple[int, int]]) -> Iterator[Piece]:
    """`MaskText.pieces` from the (start, end) of each mask, in order."""
    done = 0
    for start, end in spans:
        if done < start:
            yield Piece(done, answer[done:start], is_mask=False)
        yield Piece(start, answer[start:end], is_mask=True)
        done = end
    if done < len(answer):
        yield Piece(done, answer[done:], is_mask=False)

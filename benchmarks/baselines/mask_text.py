"""The interface of a text format for masks, and how to find masks in an answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from stamp.pictures.masks import Mask


class MaskTextError(ValueError):
    """Text that was meant to be a mask but cannot be read as one."""


@dataclass(frozen=True)
class Piece:
    """Part of an answer: words, or text meant as a mask. start: index of its first character in the answer."""

    start: int
    text: str
    is_mask: bool


class MaskText(Protocol):
    """One format. `write` makes the text, `draw` reads it, and `pieces` finds it among words."""

    @property
    def name(self) -> str:
        """The method that uses it."""

    def write(self, mask: Mask, label: str) -> str:
        """The text of an (h, w) mask. label: what the request calls the object."""

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

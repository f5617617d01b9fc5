"""What a way to write masks as text is, and masks in the words of an answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from stamp.pictures.masks import Mask


class MaskTextError(ValueError):
    """Text that was meant as a mask and is none."""


@dataclass(frozen=True)
class Piece:
    """Part of an answer: words, or what is meant as a mask. start: of its first character in the answer."""

    start: int
    text: str
    is_mask: bool


class MaskText(Protocol):
    """One format. What `write` gives, `draw` reads, and `pieces` finds among words.

    name: that of the method that uses it.
    """

    @property
    def name(self) -> str: ...

    def write(self, mask: Mask, label: str) -> str:
        """The text of an (h, w) mask. label: what the request calls the object."""

    def pieces(self, answer: str) -> Iterator[Piece]:
        """An answer cut into words and masks, nothing left out. A mask may be damaged; `draw` tells."""

    def draw(self, text: str, image: Image.Image) -> Mask:
        """The mask, bool (H, W) of the picture, that a text says. Raises MaskTextError."""


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

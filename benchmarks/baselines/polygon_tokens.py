"""Masks as polygons of location tokens: `<12,5><14,6>...<close>`, one token a corner, x and y in steps from 0 to 31.

The polygons are those of `polygons`, with coarser steps. `<close>` ends each contour, so several may follow.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.baselines.mask_text import MaskTextError, Piece, cut
from benchmarks.baselines.polygons import Polygon, fill_polygons, outer_polygons, to_pixels
from stamp.pictures.masks import Mask

LAST_STEP = 31
CLOSE = "<close>"
_CORNER = re.compile(r"<(\d+),(\d+)>")
_MEANT_AS_POLYGONS = re.compile(r"(?:<\d+,\d+>|<close>)+")


@dataclass(frozen=True)
class PolygonTokens:
    """See the module docstring and MaskText."""

    name = "polygon"

    @property
    def vocabulary(self) -> Mapping[str, tuple[float, ...]]:
        """See MaskText."""
        return _vocabulary()

    def tokens(self, mask: Mask) -> list[str]:
        """See MaskText."""
        polygons = outer_polygons(mask, LAST_STEP)
        return [word for polygon in polygons for word in (*(f"<{x},{y}>" for x, y in polygon), CLOSE)]

    def places(self, tokens: Sequence[str], grid_hw: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
        """See MaskText: the cell of each corner."""
        height, width = grid_hw
        for token in tokens:
            cells = np.zeros(grid_hw, np.float32)
            if (match := _CORNER.fullmatch(token)) is not None:
                x, y = (int(number) / LAST_STEP for number in match.groups())
                cells[min(int(y * height), height - 1), min(int(x * width), width - 1)] = 1
            yield cells.ravel()

    def pieces(self, answer: str) -> Iterator[Piece]:
        """See MaskText."""
        return cut(answer, (match.span() for match in _MEANT_AS_POLYGONS.finditer(answer)))

    def draw(self, text: str, image: Image.Image) -> Mask:
        """See MaskText."""
        size_hw = image.height, image.width
        polygons = read_polygon_tokens(text)
        return fill_polygons([to_pixels(polygon, size_hw, LAST_STEP) for polygon in polygons], size_hw)


def read_polygon_tokens(text: str) -> list[Polygon]:
    """The polygons of a text, in steps 0..31.

    Raises MaskTextError: no `<close>` at the end, fewer than three corners, a step above 31.
    """
    *contours, rest = text.split(CLOSE)
    if rest or not contours:
        raise MaskTextError(f"the last contour does not end with {CLOSE}: {text:.60}")
    return [_read_contour(contour) for contour in contours]


def _read_contour(text: str) -> Polygon:
    corners = [(int(x), int(y)) for x, y in _CORNER.findall(text)]
    if len(corners) < 3:
        raise MaskTextError(f"a polygon needs three corners: {text:.60}")
    if max(map(max, corners)) > LAST_STEP:
        raise MaskTextError(f"steps go from 0 to {LAST_STEP}: {text:.60}")
    return corners


@cache
def _vocabulary() -> dict[str, tuple[float, ...]]:
    steps = range(LAST_STEP + 1)
    corners = {f"<{x},{y}>": (x / LAST_STEP, y / LAST_STEP) for y in steps for x in steps}
    return {CLOSE: (), **corners}

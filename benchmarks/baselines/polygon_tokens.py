"""Masks as polygons of location tokens: `<x12><y5><x14><y6>...<close>`, one token a coordinate, in steps from 0 to 31.

One token a coordinate is Pix2Seq's (arXiv 2109.10852). The polygons are those of `polygons`, with coarser steps.
`<close>` ends each contour, so several may follow.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.baselines.mask_text import Location, MaskTextError, Piece, cut
from benchmarks.baselines.polygons import Polygon, fill_polygons, outer_polygons, to_pixels
from stamp.pictures.masks import Mask

LAST_STEP = 31
CLOSE = "<close>"
_CORNER = re.compile(r"<x(\d+)><y(\d+)>")
_CORNER_OR_CLOSE = re.compile(rf"{_CORNER.pattern}|<close>")
_MEANT_AS_POLYGONS = re.compile(r"(?:<[xy]\d+>|<close>)+")


@dataclass(frozen=True)
class PolygonTokens:
    """See the module docstring and MaskText."""

    name = "polygon"

    @property
    def vocabulary(self) -> Mapping[str, Location]:
        """See MaskText."""
        return _vocabulary()

    def tokens(self, mask: Mask) -> list[str]:
        """See MaskText."""
        polygons = outer_polygons(mask, LAST_STEP)
        corners = [[word for x, y in polygon for word in (f"<x{x}>", f"<y{y}>")] for polygon in polygons]
        return [word for polygon in corners for word in (*polygon, CLOSE)]

    def places(self, tokens: Sequence[str], grid_hw: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
        """See MaskText: for both coordinates, the cell of their corner."""
        height, width = grid_hw
        for match in _CORNER_OR_CLOSE.finditer("".join(tokens)):
            cells = np.zeros(grid_hw, np.float32)
            if match[1] is not None:
                x, y = (int(number) / LAST_STEP for number in match.groups())
                cells[min(int(y * height), height - 1), min(int(x * width), width - 1)] = 1
                yield cells.ravel()
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

    Raises MaskTextError: no `<close>` at the end, fewer than three corners, an x or y alone, a step above 31.
    """
    *contours, rest = text.split(CLOSE)
    if rest or not contours:
        raise MaskTextError(f"the last contour does not end with {CLOSE}: {text:.60}")
    return [_read_contour(contour) for contour in contours]


def _read_contour(text: str) -> Polygon:
    corners = [(int(x), int(y)) for x, y in _CORNER.findall(text)]
    if len(corners) < 3 or _CORNER.sub("", text):
        raise MaskTextError(f"a polygon needs three corners or more, each with x and y: {text:.60}")
    if max(map(max, corners)) > LAST_STEP:
        raise MaskTextError(f"steps go from 0 to {LAST_STEP}: {text:.60}")
    return corners


@cache
def _vocabulary() -> dict[str, Location]:
    steps = range(LAST_STEP + 1)
    coordinates = {f"<{axis}{step}>": Location(axis, (step / LAST_STEP,)) for axis in "xy" for step in steps}
    return {CLOSE: Location("close"), **coordinates}

"""Masks as runs of patches: `<row 7><3-8>`, one token a run, in each of 16 rows of 16 patches that has the object.

The patches are those of `patches`. Text4Seg's codes (arXiv 2410.09855) give the length of every run, so that a place is
a sum over the whole row; here a token says where its run begins and ends, and rows without the object are left out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.baselines.mask_text import Location, MaskTextError, Piece, cut
from benchmarks.baselines.patches import GRID, draw_patches, patches_of
from stamp.pictures.masks import Mask
from stamp.refinement.refiner import Refiner

_ROW, _RUN = re.compile(r"<row(\d+)>"), re.compile(r"<(\d+)-(\d+)>")
_MEANT_AS_RUNS = re.compile(r"(?:<row\d+>|<\d+-\d+>)+")
_WHOLE_ROW = re.compile(r"<row(\d+)>((?:<\d+-\d+>)+)")


@dataclass(frozen=True)
class PatchTokens:
    """See the module docstring and MaskText. refiner: turns labels into pixels; None is bicubic."""

    refiner: Refiner | None = None
    name = "patch_text"

    @property
    def vocabulary(self) -> Mapping[str, Location]:
        """See MaskText."""
        return _vocabulary()

    def tokens(self, mask: Mask) -> list[str]:
        """See MaskText."""
        words: list[str] = []
        for number, row in enumerate(patches_of(mask)):
            edges = np.flatnonzero(np.diff(np.pad(row.astype(np.int8), 1))).reshape(-1, 2)
            words += [f"<row{number}>"] * bool(len(edges)) + [f"<{start}-{end - 1}>" for start, end in edges]
        return words

    def places(self, tokens: Sequence[str], grid_hw: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
        """See MaskText: the cells of each run; for a row, those of all its runs."""
        patches, shares = read_runs("".join(tokens)), [_overlaps(GRID, cells) for cells in grid_hw]
        number = 0
        for token in tokens:
            one = np.zeros_like(patches)
            if (match := _ROW.fullmatch(token)) is not None:
                number = int(match[1])
                one[number] = patches[number]
            elif (match := _RUN.fullmatch(token)) is not None:
                one[number, int(match[1]) : int(match[2]) + 1] = True
            yield (shares[0] @ one @ shares[1].T).ravel().astype(np.float32)

    def pieces(self, answer: str) -> Iterator[Piece]:
        """See MaskText."""
        return cut(answer, (match.span() for match in _MEANT_AS_RUNS.finditer(answer)))

    def draw(self, text: str, image: Image.Image) -> Mask:
        """See MaskText."""
        return draw_patches(read_runs(text), image, self.refiner)


def read_runs(text: str) -> NDArray[np.bool_]:
    """The (16, 16) patches of a text. Rows and runs may overlap and come in any order.

    Raises MaskTextError: a row without a run, a run without a row, a row or patch above 15, a run that ends before it
    begins.
    """
    patches = np.zeros((GRID, GRID), dtype=bool)
    rows = list(_WHOLE_ROW.finditer(text))
    if not rows or "".join(row[0] for row in rows) != text:
        raise MaskTextError(f"not rows of runs: {text:.60}")
    for row in rows:
        for start, end in (map(int, run) for run in _RUN.findall(row[2])):
            if not (int(row[1]) < GRID and start <= end < GRID):
                raise MaskTextError(f"rows and patches go from 0 to {GRID - 1}, runs from left to right: {row[0]:.60}")
            patches[int(row[1]), start : end + 1] = True
    return patches


def _overlaps(patches: int, cells: int) -> NDArray[np.float64]:
    """(cells, patches): the share of each cell of a side that each patch covers."""
    start, end = np.arange(cells)[:, None] / cells, np.arange(1, cells + 1)[:, None] / cells
    left, right = np.arange(patches) / patches, np.arange(1, patches + 1) / patches
    shares: NDArray[np.float64] = (np.minimum(end, right) - np.maximum(start, left)).clip(min=0) * cells
    return shares


@cache
def _vocabulary() -> dict[str, Location]:
    rows = {f"<row{row}>": Location("row", (row / (GRID - 1),)) for row in range(GRID)}
    runs = {
        f"<{start}-{end}>": Location("run", (start / (GRID - 1), end / (GRID - 1)))
        for start in range(GRID)
        for end in range(start, GRID)
    }
    return rows | runs

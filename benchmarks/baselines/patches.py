r"""Masks as patch labels: 16 rows of `others*5, crab*3, others*8`, joined by `\n`, for 16 x 16 patches.

After the row-wise run-length codes of Text4Seg (arXiv 2410.09855, R-RLE), which puts `|` between runs and has more
patches. A patch belongs to the object if the object covers at least half of it; if no patch does, the fullest one is
taken. Any label but `others` means the object, so a misspelt label does no harm.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.baselines.mask_text import MaskTextError, Piece, cut
from stamp.pictures.masks import Mask, coverage_grid
from stamp.refinement.refiner import Refiner, refine_masks

GRID = 16
BACKGROUND = "others"
#: Logit of a patch of the object; other patches have its negative. It is large, so that a refiner is unsure only about
#: pixels between two different patches.
LABEL_LOGIT = 5.0
_RUN = r"[^\W\d_][^\W\d_ -]*(?:[ -][^\W\d_]+)*\s?\*\s?\d*"
#: Consecutive runs; whether they make a grid is checked when they are read.
_MEANT_AS_PATCHES = re.compile(rf"{_RUN}(?:(?:,\s?|\n){_RUN})*")
_WHOLE_RUN = re.compile(r"\s*([^*,]*[^*,\s])\s*\*\s*(\d{1,2})\s*")


@dataclass(frozen=True)
class PatchText:
    """See the module docstring and MaskText. refiner: turns labels into pixels; None is bicubic."""

    refiner: Refiner | None = None
    name = "patch_text"

    def write(self, mask: Mask, label: str) -> str:
        """See MaskText."""
        return write_patches(patches_of(mask), label)

    def pieces(self, answer: str) -> Iterator[Piece]:
        """See MaskText."""
        return cut(answer, (match.span() for match in _MEANT_AS_PATCHES.finditer(answer)))

    def draw(self, text: str, image: Image.Image) -> Mask:
        """See MaskText."""
        return draw_patches(read_patches(text), image, self.refiner)


def patches_of(mask: Mask) -> NDArray[np.bool_]:
    """The (16, 16) patches of the object; none only if the mask is empty."""
    coverage = coverage_grid(mask, (GRID, GRID))
    most = coverage.max()
    patches: NDArray[np.bool_] = coverage >= min(0.5, most) if most > 0 else np.zeros((GRID, GRID), dtype=bool)
    return patches


def draw_patches(labels: Mask, image: Image.Image, refiner: Refiner | None) -> Mask:
    """(rows, columns) labels -> (H, W) mask: as logits, enlarged like STAMP's, with the same refiner."""
    logits = np.where(labels, LABEL_LOGIT, -LABEL_LOGIT).astype(np.float32)
    masks, _ = refine_masks(logits[None], image, refiner)
    drawn: Mask = masks[0]
    return drawn


def write_patches(patches: NDArray[np.bool_], label: str) -> str:
    """The text of (16, 16) patches."""
    rows = ([(label if own else BACKGROUND, len(list(run))) for own, run in groupby(row)] for row in patches)
    return "\n".join(", ".join(f"{name}*{count}" for name, count in row) for row in rows)


def read_patches(text: str) -> NDArray[np.bool_]:
    """The (16, 16) patches that `write_patches` wrote; blanks do not matter.

    Raises MaskTextError: not 16 rows, a row without exactly 16 patches, a run that is not `label*count`.
    """
    lines = text.strip().split("\n")
    if len(lines) != GRID:
        raise MaskTextError(f"expected {GRID} rows of patches, got {len(lines)}")
    return np.array([_read_row(number, line) for number, line in enumerate(lines, start=1)])


def _read_row(number: int, line: str) -> list[bool]:
    row: list[bool] = []
    for run in line.split(","):
        if (match := _WHOLE_RUN.fullmatch(run)) is None:
            raise MaskTextError(f"row {number}: not a run `label*count`: {run:.60}")
        row += [match[1] != BACKGROUND] * int(match[2])
    if len(row) != GRID:
        raise MaskTextError(f"row {number}: expected {GRID} patches, got {len(row)}")
    return row

"""Masks as labels of 16 x 16 patches, and their plain text.

After Text4Seg (arXiv 2410.09855), which has more patches. A patch belongs to the object if the object covers at least
half of it; if no patch does, the fullest one is taken.
"""

from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stamp.pictures.masks import Mask, coverage_grid
from stamp.refinement.refiner import Refiner, refine_masks

GRID = 16
BACKGROUND = "others"
#: Logit of a patch of the object; other patches have its negative. It is large, so that a refiner is unsure only about
#: pixels between two different patches.
LABEL_LOGIT = 5.0


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
    """Plain text, only to count its tokens: rows of `others*5, crab*3, others*8`, like Text4Seg's R-RLE."""
    rows = ([(label if own else BACKGROUND, len(list(run))) for own, run in groupby(row)] for row in patches)
    return "\n".join(", ".join(f"{name}*{count}" for name, count in row) for row in rows)

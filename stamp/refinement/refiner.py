"""Enlarges logits on the coarse patch grid to masks of the original size.

The released code thresholds on the grid and enlarges with nearest neighbour. We enlarge the LOGITS first and threshold
last: with oracle coverage in place of a model, that raises the best possible mean IoU of a 24x24 grid from 0.80 to
0.91. A Refiner does the enlarging; `python -m stamp.training refinement` compares them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stamp.pictures.masks import mask_score
from stamp.pictures.resizing import as_grid, enlarge_logits

if TYPE_CHECKING:
    import torch


class Refiner(Protocol):
    """Enlarges one or a few masks at a time, so that memory stays limited for any number of masks."""

    @property
    def name(self) -> str:
        """Its key in REFINERS."""

    def __call__(self, logits: "torch.Tensor", image: Image.Image) -> Iterator["torch.Tensor"]:
        """Logits (S, gh, gw) float32 on the CPU and their RGB image (H, W) -> S arrays (H, W) float32 on the CPU."""


@dataclass(frozen=True)
class BicubicRefiner:
    """`none`: plain bicubic enlargement; uses only the image's size."""

    name = "none"

    def __call__(self, logits: "torch.Tensor", image: Image.Image) -> Iterator["torch.Tensor"]:
        """See Refiner."""
        for plane in logits:
            yield enlarge_logits(plane[None], (image.height, image.width))[0]


def refine_each(
    logits: "torch.Tensor | NDArray[np.floating]", image: Image.Image, refiner: Refiner | None = None
) -> Iterator[tuple[NDArray[np.bool_], float | None]]:
    """`refine_masks`, one mask after the other: bool (H, W), each an array of its own, and its score."""
    for full in (refiner or BicubicRefiner())(as_grid(logits), image):
        mask = np.greater(full.numpy(), 0)
        yield mask, mask_score(full.numpy(), mask)


def refine_masks(
    logits: "torch.Tensor | NDArray[np.floating]", image: Image.Image, refiner: Refiner | None = None
) -> tuple[NDArray[np.bool_], list[float | None]]:
    """Boolean masks (S, H, W) and a score per mask from (S, gh, gw) logits and their image; None is bicubic.

    A pixel is in the mask if its refined logit is above 0. The score is the mean sigmoid, 0..1, of the refined
    logits inside the mask; None for an empty mask.

    Raises: ValueError if the logits are not (S, gh, gw).
    """
    grid = as_grid(logits)
    masks = np.zeros((len(grid), image.height, image.width), dtype=bool)
    scores: list[float | None] = []
    for mask, (found, score) in zip(masks, refine_each(grid, image, refiner), strict=True):
        mask[:] = found
        scores.append(score)
    return masks, scores

"""`grabcut`: the outline moves to where the colours of the object end (GrabCut, Rother et al. 2004; OpenCV's).

Pixels whose logit is sure stay as they are; the others are cut along edges of the image, by mixtures of the colours
inside and around the mask. Only a window around the mask takes part, so that its surroundings are what it is told from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stamp.pictures.masks import intersection_over_union
from stamp.pictures.resizing import enlarge_logits, shrunk_pixels

if TYPE_CHECKING:
    import torch

#: It works at this longest side; larger images get its logits enlarged, so that time stays bounded.
MAX_SIDE_PX = 512
#: A logit beyond this (98 %) is sure; lower bounds gain on good masks, higher ones on those that are half wrong.
SURE_LOGIT = 3.9
#: Cells of the grid around everything that may be the object.
MARGIN_CELLS = 2
ITERATIONS = 2
#: The five colours of a mixture need more pixels than that, inside and around.
FEWEST_PX = 16
#: A cut with less IoU than that to the model's own mask follows colours that are not the object's: it is dropped.
LEAST_AGREEMENT = 0.4
#: What the cut gives pixels that the model held for the other side: barely more than a half.
EDGE_LOGIT = 0.1


@dataclass(frozen=True)
class GrabCutRefiner:
    """See the module docstring and Refiner. The same logits and image always give the same mask."""

    name = "grabcut"

    def __call__(self, logits: "torch.Tensor", image: Image.Image) -> Iterator["torch.Tensor"]:
        """See Refiner."""
        import torch

        size_hw = image.height, image.width
        pixels = shrunk_pixels(image, MAX_SIDE_PX)
        work_hw = pixels.shape[0], pixels.shape[1]
        margin_px = [round(MARGIN_CELLS * side / cells) for side, cells in zip(work_hw, logits.shape[1:], strict=True)]
        for plane in logits:
            full = enlarge_logits(plane[None], work_hw)[0].numpy()
            window = _window(full > -SURE_LOGIT, margin_px)
            full[window] = _cut(full[window], pixels[window])
            yield enlarge_logits(torch.from_numpy(full)[None], size_hw)[0]


def _window(near: NDArray[np.bool_], margin_px: list[int]) -> tuple[slice, slice]:
    """The rectangle of what is true in (h, w), and the margin around it; empty where nothing is."""
    slices = []
    for axis, margin in enumerate(margin_px):
        found = np.flatnonzero(near.any(axis=1 - axis))
        slices.append(slice(max(0, found[0] - margin), found[-1] + 1 + margin) if len(found) else slice(0))
    return slices[0], slices[1]


def _cut(logits: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w) logits and their (h, w, 3) RGB pixels -> (h, w) logits; those not sure have the sign of the cut."""
    import cv2

    inside = logits > 0
    if min(inside.sum(), (~inside).sum()) < FEWEST_PX:
        return logits
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[logits > SURE_LOGIT] = cv2.GC_FGD
    labels[logits < -SURE_LOGIT] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # of this thread; mixtures begin with drawn pixels
    backdrop, figure = np.zeros((1, 65)), np.zeros((1, 65))
    whole = (0, 0, 0, 0)  # a rectangle, which nothing looks at where there are labels
    cv2.grabCut(np.ascontiguousarray(pixels), labels, whole, backdrop, figure, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    cut = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if intersection_over_union(cut, inside) < LEAST_AGREEMENT:
        return logits
    refined: NDArray[np.float32] = np.where(cut, logits.clip(min=EDGE_LOGIT), logits.clip(max=-EDGE_LOGIT))
    return refined

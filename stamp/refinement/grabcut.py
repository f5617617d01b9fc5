"""`grabcut`: moves the outline to where the object's colours end (GrabCut, Rother et al. 2004, from OpenCV).

Pixels with a confident logit stay unchanged; the others are cut along image edges, using colour mixtures of the inside
and the surroundings of the mask. Only a window around the mask is used, so that its surroundings are the background.
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

#: It works at this longest side; for larger images its logits are enlarged, which limits the time.
MAX_SIDE_PX = 512
#: Logits beyond this (98 %) are confident. A lower bound helps good masks, a higher one masks that are half wrong.
SURE_LOGIT = 3.9
#: Margin, in grid cells, around everything that may be the object.
MARGIN_CELLS = 2
ITERATIONS = 2
#: The five colours of a mixture need more pixels than this, both inside and around.
FEWEST_PX = 16
#: A cut with a lower IoU to the model's own mask follows colours of other things and is dropped.
LEAST_AGREEMENT = 0.4
#: Logit for pixels that the cut moves to the other side: barely above one half.
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
    """The rectangle of the true values in (h, w), plus the margin; empty if none is true."""
    slices = []
    for axis, margin in enumerate(margin_px):
        found = np.flatnonzero(near.any(axis=1 - axis))
        slices.append(slice(max(0, found[0] - margin), found[-1] + 1 + margin) if len(found) else slice(0))
    return slices[0], slices[1]


def _cut(logits: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w) logits and their (h, w, 3) RGB pixels -> (h, w) logits; uncertain ones get the sign of the cut."""
    import cv2

    inside = logits > 0
    if min(inside.sum(), (~inside).sum()) < FEWEST_PX:
        return logits
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[logits > SURE_LOGIT] = cv2.GC_FGD
    labels[logits < -SURE_LOGIT] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # the seed of this thread; mixtures start from sampled pixels
    backdrop, figure = np.zeros((1, 65)), np.zeros((1, 65))
    whole = (0, 0, 0, 0)  # a rectangle, which is ignored when there are labels
    cv2.grabCut(np.ascontiguousarray(pixels), labels, whole, backdrop, figure, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    cut = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if intersection_over_union(cut, inside) < LEAST_AGREEMENT:
        return logits
    refined: NDArray[np.float32] = np.where(cut, logits.clip(min=EDGE_LOGIT), logits.clip(max=-EDGE_LOGIT))
    return refined

"""`grabcut`: moves the outline to where the object's colours end (GrabCut, Rother et al. 2004, from OpenCV).

Pixels with a confident logit stay unchanged; the others are cut along image edges, using colour mixtures of the inside
and the surroundings of the mask. Only a window around the mask is used, so that its surroundings are the background.
For speed, colours are learned from a fraction of the pixels, and the cut is in a window around the uncertain ones.
"""

from collections.abc import Iterator, Sequence
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
#: Margins, in grid cells: around everything that may be the object, for the colours; around unsure pixels, for the cut.
COLOUR_MARGIN_CELLS, CUT_MARGIN_CELLS = 2, 1
#: Colours are learned from about this many pixels along the window's longer side.
COLOUR_SIDE_PX = 128
#: The five colours of a mixture need more pixels than this, both inside and around.
FEWEST_PX = 16
#: A cut with a lower IoU to the model's own mask follows colours of other things and is dropped.
LEAST_AGREEMENT = 0.4
#: Logit for pixels that the cut moves to the other side: barely above one half.
EDGE_LOGIT = 0.1
#: A rectangle, which OpenCV ignores when there are labels.
NO_BOX = (0, 0, 0, 0)
Colours = tuple[NDArray[np.float64], NDArray[np.float64]]


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
        cell_px = [side / cells for side, cells in zip(work_hw, logits.shape[1:], strict=True)]
        for plane in logits:
            full = enlarge_logits(plane[None], work_hw)[0].numpy()
            yield enlarge_logits(torch.from_numpy(_cut(full, pixels, cell_px))[None], size_hw)[0]


def _window(near: NDArray[np.bool_], margin_px: Sequence[float]) -> tuple[slice, slice]:
    """The rectangle of the true values in (h, w), plus the margin; empty if none is true."""
    slices = []
    for axis, margin in enumerate(map(round, margin_px)):
        found = np.flatnonzero(near.any(axis=1 - axis))
        slices.append(slice(max(0, found[0] - margin), found[-1] + 1 + margin) if len(found) else slice(0))
    return slices[0], slices[1]


def _cut(logits: NDArray[np.float32], pixels: NDArray[np.uint8], cell_px: Sequence[float]) -> NDArray[np.float32]:
    """(h, w) logits and their (h, w, 3) RGB pixels -> (h, w) logits; uncertain ones get the sign of the cut."""
    import cv2

    wide = _window(logits > -SURE_LOGIT, [COLOUR_MARGIN_CELLS * px for px in cell_px])
    near = _window(np.abs(logits) <= SURE_LOGIT, [CUT_MARGIN_CELLS * px for px in cell_px])
    labels = _labels(logits)
    colours = _learn_colours(labels[wide], pixels[wide])
    if colours is None or not _both_sides(labels[near]):
        return logits
    part = np.ascontiguousarray(labels[near])
    cv2.grabCut(np.ascontiguousarray(pixels[near]), part, NO_BOX, *colours, 1, cv2.GC_EVAL_FREEZE_MODEL)
    labels[near] = part
    cut = _is_inside(labels)
    if intersection_over_union(cut, logits > 0) < LEAST_AGREEMENT:
        return logits
    refined: NDArray[np.float32] = np.where(cut, logits.clip(min=EDGE_LOGIT), logits.clip(max=-EDGE_LOGIT))
    return refined


def _labels(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """OpenCV's labels: sure and probable object, sure and probable background."""
    import cv2

    labels = np.where(logits > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[logits > SURE_LOGIT] = cv2.GC_FGD
    labels[logits < -SURE_LOGIT] = cv2.GC_BGD
    return labels


def _is_inside(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    import cv2

    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _both_sides(labels: NDArray[np.uint8]) -> bool:
    """Whether both sides have enough pixels for a mixture of colours."""
    inside = int(_is_inside(labels).sum())
    return min(inside, labels.size - inside) >= FEWEST_PX


def _learn_colours(labels: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> Colours | None:
    """Mixtures of the surroundings and of the object, from every k-th pixel; None if one has too few pixels."""
    import cv2

    if not _both_sides(labels):
        return None
    step = max(1, round(max(labels.shape) / COLOUR_SIDE_PX))
    every = np.s_[step // 2 :: step, step // 2 :: step]
    some = every if _both_sides(labels[every]) else np.s_[:]
    colours: Colours = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # the seed of this thread; mixtures start from sampled pixels
    shown, known = np.ascontiguousarray(pixels[some]), np.array(labels[some])
    cv2.grabCut(shown, known, NO_BOX, *colours, 1, cv2.GC_INIT_WITH_MASK)
    return colours

"""From logits on the coarse patch grid to masks of the original size.

The released code thresholds on the grid and enlarges with nearest neighbour. Here LOGITS are enlarged first and the
threshold comes last: with oracle coverage in place of a model, that lifts the best possible mean IoU of a 24x24 grid
from 0.80 to 0.91. A Refiner says how they are enlarged; `python -m stamp.training refinement` compares them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stamp.masks import mask_score

if TYPE_CHECKING:
    import torch

#: What "auto" means: the best on composed scenes (the nano's model card); on photographs it has not been measured.
DEFAULT_REFINER = "grabcut"
REFINERS = {
    "none": "bicubic enlargement of the logits",
    "guided": "logits enlarged along the edges of the image (guided filter)",
    "grabcut": "cut out along the edges of the image, by the colours inside and around (GrabCut)",
    "sam": "three passes of Segment Anything, prompted by the coarse mask; needs its weights",
    "auto": f"the default, now {DEFAULT_REFINER!r}",
}
#: The guided filter works at this longest side; larger images get its logits enlarged, so that memory stays bounded.
GUIDED_MAX_SIDE_PX = 1024
#: So many masks share what only depends on the image, which is most of the work.
GUIDED_MASKS_AT_ONCE = 4
#: Added to the local variance of the image (0..1): edges much weaker than its root, 0.01, do not count.
GUIDED_EPS = 1e-4


class Refiner(Protocol):
    """Enlarges masks one or a few at a time, so that memory stays bounded however many there are."""

    @property
    def name(self) -> str:
        """Its key in REFINERS."""

    def __call__(self, logits: "torch.Tensor", image: Image.Image) -> Iterator["torch.Tensor"]:
        """Logits (S, gh, gw) float32 on the CPU and their RGB image (H, W) -> S times (H, W) float32 on the CPU."""


@dataclass(frozen=True)
class BicubicRefiner:
    """`none`: plain bicubic enlargement; of the image only the size matters."""

    name = "none"

    def __call__(self, logits: "torch.Tensor", image: Image.Image) -> Iterator["torch.Tensor"]:
        """See Refiner."""
        for plane in logits:
            yield enlarge_logits(plane[None], (image.height, image.width))[0]


@dataclass(frozen=True)
class GuidedRefiner:
    """`guided`: the outline moves to the edges of the image (guided filter, He et al. 2010, colour as the guide).

    What is filtered is the sigmoid of the enlarged logits, so that a very sure cell counts no more than a sure one.
    The radius is half a grid cell; with a whole cell it loses to bicubic on photographs.
    """

    device: "str | torch.device" = "cpu"
    name = "guided"

    def __call__(self, logits: "torch.Tensor", image: Image.Image) -> Iterator["torch.Tensor"]:
        """See Refiner."""
        import torch
        from kornia.filters import guided_blur

        size_hw = image.height, image.width
        pixels = shrunk_pixels(image, GUIDED_MAX_SIDE_PX)
        work_hw = pixels.shape[0], pixels.shape[1]
        guide = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(self.device) / 255
        window = _window_px(work_hw[0], logits.shape[1]), _window_px(work_hw[1], logits.shape[2])
        for start in range(0, len(logits), GUIDED_MASKS_AT_ONCE):
            group = logits[start : start + GUIDED_MASKS_AT_ONCE]
            soft = enlarge_logits(group, work_hw).sigmoid()[None].to(self.device)
            for refined in guided_blur(guide, soft, window, GUIDED_EPS, separable=True)[0]:
                yield enlarge_logits(refined[None].logit(eps=1e-6), size_hw)[0]


def _window_px(side_px: int, cells: int) -> int:
    """Odd filter window of half a cell to each side, at most the image's own side."""
    return 2 * min(round(side_px / cells / 2), (side_px - 1) // 2) + 1


def check_refiner_name(name: str) -> str:
    """The name that "auto" stands for, or the name itself. Raises: ValueError for a name that is not in REFINERS."""
    if name not in REFINERS:
        raise ValueError(f"refine must be one of {', '.join(REFINERS)}, got {name!r}")
    return DEFAULT_REFINER if name == "auto" else name


def make_refiner(name: str, *, sam_model: str | Path | None = None, device: "str | torch.device" = "cpu") -> Refiner:
    """The refiner of that name. sam_model: folder or hub id of a transformers SamModel, read for "sam" only.

    Raises: ValueError for an unknown name, for "sam" without a model, and for weights that do not fit.
    """
    name = check_refiner_name(name)
    if name == "none":
        return BicubicRefiner()
    if name == "guided":
        return GuidedRefiner(device)
    if name == "grabcut":
        from stamp.grabcut_refinement import GrabCutRefiner

        return GrabCutRefiner()
    if sam_model is None:
        raise ValueError(
            'The refinement "sam" needs weights: name the folder or hub id of a transformers SamModel, '
            "for example facebook/sam-vit-huge."
        )
    from stamp.sam_refinement import SamRefiner

    return SamRefiner.from_pretrained(sam_model, device)


def enlarge_logits(logits: "torch.Tensor | NDArray[np.floating]", size_hw: tuple[int, int]) -> "torch.Tensor":
    """Bicubic enlargement of (S, gh, gw) logits to (S, H, W) float32 on the CPU; the grid spans the whole image.

    Raises: ValueError when the logits are not (S, gh, gw).
    """
    import torch
    from torch.nn import functional

    grid = _as_grid(logits)
    if not len(grid):
        return torch.zeros(0, *size_hw)
    return functional.interpolate(grid[None], size=size_hw, mode="bicubic", align_corners=False)[0]


def refine_masks(
    logits: "torch.Tensor | NDArray[np.floating]", image: Image.Image, refiner: Refiner | None = None
) -> tuple[NDArray[np.bool_], list[float | None]]:
    """Boolean masks (S, H, W) and a score per mask from (S, gh, gw) logits and their image; None is bicubic.

    A pixel is in the mask when its refined logit is above 0; the released code thresholds on the grid and enlarges with
    nearest neighbour, which costs about 0.1 IoU on a 32x32 grid. The score is the mean sigmoid, 0..1, of the refined
    logits inside the mask; None for an empty mask.

    Raises: ValueError when the logits are not (S, gh, gw).
    """
    grid = _as_grid(logits)
    masks = np.zeros((len(grid), image.height, image.width), dtype=bool)
    scores: list[float | None] = []
    for mask, full in zip(masks, (refiner or BicubicRefiner())(grid, image), strict=True):
        np.greater(full.numpy(), 0, out=mask)
        scores.append(mask_score(full.numpy(), mask))
    return masks, scores


def fit_size(size_hw: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """(h, w) scaled so that the longer side is `longest_px`, rounded half up, at least 1: the rule of SAM."""
    scale = longest_px / max(size_hw)
    height, width = (max(1, int(side * scale + 0.5)) for side in size_hw)
    return height, width


def shrunk_pixels(image: Image.Image, longest_px: int) -> NDArray[np.uint8]:
    """(h, w, 3) pixels of an RGB image, shrunk where its longer side is over `longest_px`."""
    size_hw = fit_size((image.height, image.width), min(longest_px, max(image.size)))
    return np.array(image.resize(size_hw[::-1], Image.Resampling.BILINEAR))


def _as_grid(logits: "torch.Tensor | NDArray[np.floating]") -> "torch.Tensor":
    """Float32 on the CPU, checked."""
    import torch

    grid = torch.as_tensor(logits).detach().float().cpu()
    if grid.ndim != 3 or 0 in grid.shape[1:]:
        raise ValueError(f"logits must have shape (S, gh, gw), got {tuple(grid.shape)}")
    return grid

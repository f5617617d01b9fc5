"""`guided`: moves the outline to the edges of the image with the guided filter (He et al. 2010)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from stamp.pictures.resizing import enlarge_logits, shrunk_pixels

if TYPE_CHECKING:
    import torch

#: The guided filter works at this longest side; for larger images its logits are enlarged, which limits the memory.
GUIDED_MAX_SIDE_PX = 1024
#: This many masks share the work that depends only on the image, which is most of it.
GUIDED_MASKS_AT_ONCE = 4
#: Added to the local variance of the image (0..1): edges much weaker than its square root, 0.01, do not count.
GUIDED_EPS = 1e-4


@dataclass(frozen=True)
class GuidedRefiner:
    """`guided`: moves the outline to the edges of the image (guided filter, He et al. 2010, colour as the guide).

    It filters the sigmoid of the enlarged logits, so that an extremely confident cell counts no more than a confident
    one. The radius is half a grid cell; with a whole cell it is worse than bicubic on photographs.
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
    """Odd filter window, half a cell to each side, at most as wide as the image."""
    return 2 * min(round(side_px / cells / 2), (side_px - 1) // 2) + 1

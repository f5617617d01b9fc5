"""Enlarges logits to a picture's size, and shrinks pictures to a working size."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import torch


def enlarge_logits(logits: "torch.Tensor | NDArray[np.floating]", size_hw: tuple[int, int]) -> "torch.Tensor":
    """Bicubic enlargement of (S, gh, gw) logits to (S, H, W) float32 on the CPU; the grid spans the whole image.

    Raises: ValueError when the logits are not (S, gh, gw).
    """
    import torch
    from torch.nn import functional

    grid = as_grid(logits)
    if not len(grid):
        return torch.zeros(0, *size_hw)
    return functional.interpolate(grid[None], size=size_hw, mode="bicubic", align_corners=False)[0]


def fit_size(size_hw: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """(h, w) scaled so that the longer side is `longest_px`, rounded half up, at least 1: the rule of SAM."""
    scale = longest_px / max(size_hw)
    height, width = (max(1, int(side * scale + 0.5)) for side in size_hw)
    return height, width


def shrunk_pixels(image: Image.Image, longest_px: int) -> NDArray[np.uint8]:
    """(h, w, 3) pixels of an RGB image, shrunk where its longer side is over `longest_px`."""
    size_hw = fit_size((image.height, image.width), min(longest_px, max(image.size)))
    return np.array(image.resize(size_hw[::-1], Image.Resampling.BILINEAR))


def as_grid(logits: "torch.Tensor | NDArray[np.floating]") -> "torch.Tensor":
    """Float32 on the CPU, checked."""
    import torch

    grid = torch.as_tensor(logits).detach().float().cpu()
    if grid.ndim != 3 or 0 in grid.shape[1:]:
        raise ValueError(f"logits must have shape (S, gh, gw), got {tuple(grid.shape)}")
    return grid

"""Masks drawn over an image, in colours that people with colour blindness can tell apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor
from scipy.ndimage import minimum_filter

from stamp.pictures.masks import Mask, bounding_box_xywh

# Searched for the largest distance between the closest two (CIELAB, about 30) as seen with normal vision,
# protanopia, deuteranopia and tritanopia. Each stands out from a white page (contrast above 1.4) and from a
# dark one (above 2), and carries text in black or white with a contrast above 4.5.
PALETTE: tuple[str, ...] = (
    "#00eeee",
    "#ff6699",
    "#5500ff",
    "#ffcc22",
    "#881166",
    "#7799ee",
    "#888800",
    "#006633",
    "#bbdd77",
    "#7700aa",
)
OUTLINES_PER_SHORTER_SIDE = 300


def mask_colour(index: int) -> str:
    """Hex colour of mask `index`, from 0; the palette repeats. Raises: ValueError for a negative index."""
    if index < 0:
        raise ValueError(f"index must be at least 0, got {index}")
    return PALETTE[index % len(PALETTE)]


def text_on(colour: str) -> str:
    """Black or white, by the higher WCAG contrast on a hex colour. Raises: ValueError for no colour."""
    luminance = _luminance(colour)
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def draw_overlay(
    image: Image.Image,
    masks: NDArray[np.bool_],
    *,
    opacity: float = 0.55,
    visible: Sequence[bool] | None = None,
    outline_px: int | None = None,
) -> Image.Image:
    """A new RGB image with the (S, H, W) boolean masks painted over an RGB image of W x H pixels.

    Mask i has `mask_colour(i)` whichever masks are visible. Larger masks are drawn first, so small ones stay
    on top. `opacity` is 0..1 inside a mask; its outline, `outline_px` wide within the mask, is opaque. By
    default the width is 1/300 of the shorter side of the image, at least 1; 0 draws none. The edge of the
    image gets no outline.

    Raises: ValueError when the mode, a shape, the opacity or the outline does not fit.
    """
    _check(image, masks, opacity, outline_px)
    shown = [True] * len(masks) if visible is None else list(visible)
    if len(shown) != len(masks):
        raise ValueError(f"visible must have one entry per mask, {len(masks)}, got {len(shown)}")
    if outline_px is None:
        outline_px = max(1, round(min(image.size) / OUTLINES_PER_SHORTER_SIDE))
    areas_px = [np.count_nonzero(mask) for mask in masks]
    canvas = image.copy()
    for index in sorted(range(len(masks)), key=lambda i: areas_px[i], reverse=True):
        if shown[index] and areas_px[index]:
            _paint(canvas, masks[index], mask_colour(index), round(255 * opacity), outline_px)
    return canvas


def _paint(canvas: Image.Image, mask: Mask, colour: str, alpha: int, outline_px: int) -> None:
    """Blend one mask into the canvas; touches only the mask's bounding box."""
    x, y, width, height = bounding_box_xywh(mask)
    # One pixel more where the image has it, so that only the edge of the image counts as a continuing mask.
    left, top = max(0, x - 1), max(0, y - 1)
    strength = opacities(mask[top : y + height + 1, left : x + width + 1], alpha, outline_px)
    canvas.paste(colour, (left, top), Image.fromarray(strength))


def opacities(mask: Mask, alpha: int, outline_px: int) -> NDArray[np.uint8]:
    """(h, w) 0..255: `alpha` inside the mask, 255 on its outline, 0 elsewhere. The edge of the array is no outline."""
    strength = mask.astype(np.uint8) * np.uint8(alpha)
    if outline_px:
        strength[mask != minimum_filter(mask, size=2 * outline_px + 1, mode="nearest")] = 255
    return strength


def _check(image: Image.Image, masks: NDArray[np.bool_], opacity: float, outline_px: int | None) -> None:
    if image.mode != "RGB":
        raise ValueError(f"image must be RGB, got {image.mode}")
    if masks.ndim != 3 or masks.shape[1:] != (image.height, image.width) or masks.dtype != np.bool_:
        raise ValueError(f"masks must be bool (S, {image.height}, {image.width}), got {masks.dtype} {masks.shape}")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be within 0..1, got {opacity}")
    if outline_px is not None and outline_px < 0:
        raise ValueError(f"outline_px must be at least 0, got {outline_px}")


def _luminance(colour: str) -> float:
    """WCAG relative luminance, 0..1, of a hex colour."""
    channels = np.array(ImageColor.getrgb(colour)[:3]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])

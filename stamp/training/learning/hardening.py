"""Varies the appearance of pictures: without colour, as a drawing, in few colours, out of focus, in odd light.

Each change keeps every object in place, so that a model learns shapes and not one rendering of them.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

Change = Callable[[np.random.Generator, Image.Image], Image.Image]


def harden(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> the same size, with one of the changes."""
    change = CHANGES[int(rng.integers(len(CHANGES)))]
    return np.asarray(change(rng, Image.fromarray(image)).convert("RGB"))


def _grey(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    return ImageOps.grayscale(picture)


def _line_art(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Dark outlines on white: how much darker the picture is than its own blur."""
    grey = ImageOps.grayscale(picture)
    soft = grey.filter(ImageFilter.GaussianBlur(float(rng.uniform(1.5, 4))))
    return ImageOps.invert(ImageChops.subtract(soft, grey, scale=0.25))


def _flat(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Few colours, as in posters and simple drawings."""
    return picture.filter(ImageFilter.MedianFilter(5)).quantize(int(rng.integers(4, 16))).convert("RGB")


def _blur(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 2.5))))


def _noise(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    grain = rng.normal(0, rng.uniform(10, 35), (picture.height, picture.width, 3))
    return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))


def _hue(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Every hue turned by the same angle."""
    hue, saturation, value = picture.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + int(rng.integers(20, 236))) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value))


def _light(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Too dark, too bright, pale or harsh."""
    picture = ImageEnhance.Brightness(picture).enhance(float(rng.uniform(0.45, 1.5)))
    return ImageEnhance.Contrast(picture).enhance(float(rng.uniform(0.5, 1.6)))


CHANGES: tuple[Change, ...] = (_grey, _line_art, _flat, _blur, _noise, _hue, _light)

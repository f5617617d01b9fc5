"""Draws placed sprites: one resampling per sprite, contact shadows, light of the scene, and the label map."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageFilter

from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.nouns import Noun

SOLID_ALPHA = 128
SHADOW_SHRINK = 4  # shadows are made at a quarter of the resolution
SHADOW_HEIGHT = 0.2  # of the silhouette's height
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
YIQ_TO_RGB = np.linalg.inv(RGB_TO_YIQ)
SHADOW_BLUR = 0.01  # of the image's longer side: about 3 px at 384


@dataclass(frozen=True)
class Placement:
    """A sprite in the scene: box centre and size in pixels before turning, anticlockwise turn in degrees."""

    noun: Noun
    style: str
    centre_x: float
    centre_y: float
    width: float
    height: float
    turn: float
    mirrored: bool
    depth: float  # larger is nearer; drawn in this order
    has_shadow: bool
    drawing: int = 0  # which of the style's drawings of the noun


@dataclass(frozen=True)
class Drawn:
    """A rendered sprite whose top left corner lies at (left, top) of the image.

    `pixels` are uint8: (h, w, 4) premultiplied colour, or (h, w) opacity alone.
    """

    pixels: np.ndarray
    left: int
    top: int

    @cached_property
    def solid(self) -> np.ndarray:
        """(h, w) bool: at least half opaque."""
        opacity = self.pixels if self.pixels.ndim == 2 else self.pixels[..., 3]
        return np.asarray(opacity >= SOLID_ALPHA)

    @cached_property
    def silhouette_px(self) -> int:
        """The number of solid pixels, including those outside the image."""
        return int(np.count_nonzero(self.solid))

    def clip(self, width: int, height: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The rows and columns inside the image (maybe none), in the image's and in the sprite's coordinates."""
        x1, y1 = max(0, self.left), max(0, self.top)
        x2 = max(x1, min(width, self.left + self.pixels.shape[1]))
        y2 = max(y1, min(height, self.top + self.pixels.shape[0]))
        inner = slice(y1 - self.top, y2 - self.top), slice(x1 - self.left, x2 - self.left)
        return (slice(y1, y2), slice(x1, x2)), inner


def render(placement: Placement, art: ArtLibrary) -> Drawn:
    """The sprite in colour, as placed."""
    return _transform(placement, art.mipmap(placement.style, placement.noun, placement.drawing), 1.0)


def render_opacity(placement: Placement, art: ArtLibrary, scale: float) -> Drawn:
    """Only the opacity of the sprite, at `scale` times the scene's resolution."""
    return _transform(placement, art.opacity_mipmap(placement.style, placement.noun, placement.drawing), scale)


def _transform(placement: Placement, levels: Sequence[Image.Image], scale: float) -> Drawn:
    """Scales, mirrors and turns a sprite in one resampling of its smallest level that is large enough."""
    width, height = placement.width * scale, placement.height * scale
    source = next((level for level in reversed(levels) if level.width >= width), levels[0])
    angle = np.radians(placement.turn)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    out_w = int(np.ceil(abs(width * cos) + abs(height * sin))) + 2
    out_h = int(np.ceil(abs(width * sin) + abs(height * cos))) + 2
    left = int(np.floor(placement.centre_x * scale - out_w / 2))
    top = int(np.floor(placement.centre_y * scale - out_h / 2))
    zoom_x = source.width / width * (-1 if placement.mirrored else 1)
    zoom_y = source.height / height
    offset_x, offset_y = placement.centre_x * scale - left, placement.centre_y * scale - top
    across = (zoom_x * cos, -zoom_x * sin)
    down = (zoom_y * sin, zoom_y * cos)
    matrix = (
        *across,
        source.width / 2 - across[0] * offset_x - across[1] * offset_y,
        *down,
        source.height / 2 - down[0] * offset_x - down[1] * offset_y,
    )
    turned = source.transform((out_w, out_h), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return Drawn(np.asarray(turned), left, top)


def paint_labels(drawn: Sequence[Drawn], width: int, height: int) -> np.ndarray:
    """(height, width) uint8: the index from 1 of the last sprite that is solid at each pixel, else 0."""
    labels = np.zeros((height, width), np.uint8)
    for index, sprite in enumerate(drawn, start=1):
        window, inner = sprite.clip(width, height)
        labels[window][sprite.solid[inner]] = index
    return labels


def draw(
    rng: np.random.Generator,
    background: np.ndarray,
    placements: Sequence[Placement],
    drawn: Sequence[Drawn],
    recolour_share: float,
) -> np.ndarray:
    """The image of the placements, in their order, over a copy of the (H, W, 3) uint8 background.

    `recolour_share` of the objects change in saturation and, a little, in hue.
    """
    image = background.copy()
    mean = background[::8, ::8].reshape(-1, 3).mean(axis=0)
    cast = np.clip(mean / max(float(mean.mean()), 1.0), 0.6, 1.5)
    dimming = 0.75 + 0.25 * min(float(mean.mean()) / 110, 1.0)
    shadow_strength = rng.uniform(0.4, 0.75)
    for placement, sprite in zip(placements, drawn, strict=True):
        gain = (1 + rng.uniform(0.1, 0.3) * (cast - 1)) * dimming
        gain *= rng.uniform(0.9, 1.08) * rng.uniform(0.95, 1.05, 3)
        if rng.random() < recolour_share:
            sprite = _recoloured(rng, sprite, placement.noun)
        if placement.has_shadow:
            _paint_shadow(image, sprite, shadow_strength)
        _paint_sprite(image, sprite, gain, foot_gain=rng.uniform(0.8, 0.95))
    return image


def _recoloured(rng: np.random.Generator, sprite: Drawn, noun: Noun) -> Drawn:
    """The sprite with its chroma scaled and turned in YIQ; a noun with a known colour keeps its hue."""
    strength = rng.uniform(0.7, 1.3) if noun.colour else rng.uniform(0.45, 1.4)
    turn = np.radians(rng.normal(0, 2 if noun.colour else 9))
    cos, sin = strength * np.cos(turn), strength * np.sin(turn)
    matrix = (YIQ_TO_RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ RGB_TO_YIQ).astype(np.float32)
    colour = sprite.pixels[..., :3].astype(np.float32) @ matrix.T
    pixels = sprite.pixels.copy()
    pixels[..., :3] = np.clip(colour, 0, sprite.pixels[..., 3:])
    return Drawn(pixels, sprite.left, sprite.top)


def _paint_sprite(image: np.ndarray, sprite: Drawn, gain: np.ndarray, foot_gain: float) -> None:
    """Composites in place; `gain` (3,) scales the colours, and they darken towards the foot by `foot_gain`."""
    height, width = image.shape[:2]
    (rows, columns), inner = sprite.clip(width, height)
    pixels = sprite.pixels[inner]
    light = np.linspace(1.05, foot_gain, pixels.shape[0], dtype=np.float32)[:, None]
    alpha = pixels[..., 3].astype(np.float32)
    keep = 1 - alpha / 255
    for channel, channel_gain in enumerate(gain.astype(np.float32)):  # numpy is slow along an axis of three
        lit = np.minimum(pixels[..., channel] * (light * channel_gain), alpha)
        image[rows, columns, channel] = lit + image[rows, columns, channel] * keep + 0.5


def _paint_shadow(image: np.ndarray, sprite: Drawn, strength: float) -> None:
    """Darkens in place around the foot: the silhouette squashed flat and blurred."""
    height, width = image.shape[:2]
    alpha = sprite.pixels[..., 3]
    solid_rows = np.flatnonzero(sprite.solid.any(axis=1))
    if not len(solid_rows):
        return
    blur = max(height, width) * SHADOW_BLUR / SHADOW_SHRINK
    pad = int(np.ceil(blur * 3))
    flat_w = max(1, alpha.shape[1] // SHADOW_SHRINK)
    flat_h = max(1, round(alpha.shape[0] * SHADOW_HEIGHT / SHADOW_SHRINK))
    flat = Image.new("L", (flat_w + 2 * pad, flat_h + 2 * pad))
    flat.paste(Image.fromarray(alpha).resize((flat_w, flat_h), Image.Resampling.BOX), (pad, pad))
    flat = flat.filter(ImageFilter.GaussianBlur(blur))
    size = (flat.width * SHADOW_SHRINK, flat.height * SHADOW_SHRINK)
    shade = np.asarray(flat.resize(size, Image.Resampling.BILINEAR))
    foot = sprite.top + int(solid_rows[-1])
    left = sprite.left + (alpha.shape[1] - size[0]) // 2
    top = foot - size[1] // 2 - flat_h * SHADOW_SHRINK // 4
    (rows, columns), inner = Drawn(shade, left, top).clip(width, height)
    keep = 1 - shade[inner] * np.float32(strength / 255)
    for channel in range(3):
        image[rows, columns, channel] = image[rows, columns, channel] * keep + 0.5

"""Composes training scenes: sprites with exact visible masks on panoramas or procedural backgrounds.

A scene is drawn back to front. Objects on the ground shrink towards the horizon and drop a contact
shadow at the foot; fliers float; in "flat" scenes objects lie anywhere. A pixel belongs to the object
drawn last among those that cover it with at least half opacity.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.backgrounds import panorama_crop, photograph_crop, procedural_background, vary
from stamp.training.scenes.compositing import Drawn, Placement, draw, paint_labels, render
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.placing import place_all
from stamp.training.scenes.scene_config import SceneConfig as SceneConfig  # re-exported for callers

TRAIN_SEEDS = range(10**9)
VALIDATION_SEEDS = range(10**9, 10**9 + 10**6)

SCENE_TRIES = 50


@dataclass(frozen=True)
class SceneObject:
    """One kept object. `mask_id` is its value in the label map; the box (x2 and y2 exclusive) is of visible pixels."""

    noun: Noun
    style: str
    mask_id: int
    box_xyxy: tuple[int, int, int, int]
    area_px: int


@dataclass(frozen=True)
class Scene:
    """`image` (H, W, 3) uint8; `labels` (H, W) uint8, 0 background, k the visible pixels of object k.

    unmarked: nouns that the picture may show without a label. Whether it does, how many there are and which object is
    the leftmost of all is then unknown. Composed scenes have none, most photographs many.
    true_colours: whether things have their own colours, so that "the red apple" is correct.
    background_weight: how much to trust that pixels with label 0 show none of the nouns, 0..1.
    """

    image: np.ndarray
    labels: np.ndarray
    objects: tuple[SceneObject, ...]
    background: str
    seed: int
    unmarked: frozenset[Noun] = frozenset()
    true_colours: bool = True
    background_weight: float = 1.0

    def mask(self, mask_id: int) -> np.ndarray:
        """(H, W) bool, the visible pixels of the object with this `mask_id` (from 1)."""
        if not 1 <= mask_id <= len(self.objects):
            raise ValueError(f"mask_id must be 1..{len(self.objects)}, got {mask_id}")
        return np.asarray(self.labels == mask_id)


@dataclass(frozen=True)
class _Stage:
    """The setting of a scene: background (H, W, 3) uint8, and the horizon row in pixels or None for a flat scene."""

    background: np.ndarray
    kind: str
    horizon_y: float | None


def compose_scene(seed: int, art: ArtLibrary, config: SceneConfig) -> Scene:
    """One scene; a pure function of its arguments, bit-identical for equal seeds.

    Raises:
        RuntimeError: no layout met the limits in `SCENE_TRIES` tries (the limits are too tight).
    """
    for attempt in range(SCENE_TRIES):
        rng = np.random.default_rng([seed, attempt])
        stage = _choose_stage(rng, art, config)
        placements = place_all(rng, art, config, stage.horizon_y)
        scene = _draw_valid(rng, art, config, stage, placements, seed)
        if scene is not None:
            return scene
    raise RuntimeError(f"no layout for seed {seed} met the limits of {config} in {SCENE_TRIES} tries")


def _choose_stage(rng: np.random.Generator, art: ArtLibrary, config: SceneConfig) -> _Stage:
    panoramas = art.panoramas if rng.random() < config.panorama_share else []
    if panoramas:
        panorama = panoramas[int(rng.integers(len(panoramas)))]
        image, horizon_y = panorama_crop(rng, panorama, config.width, config.height)
        return _Stage(vary(rng, image), "panorama", horizon_y)
    backdrops = art.backdrops if rng.random() < config.backdrop_share else []
    if backdrops:
        image = photograph_crop(rng, backdrops[int(rng.integers(len(backdrops)))], config.width, config.height)
        return _Stage(
            vary(rng, image), "photograph", None if rng.random() < 0.4 else rng.uniform(0, 0.5) * config.height
        )
    image = procedural_background(rng, config.width, config.height)
    return _Stage(image, "procedural", None if rng.random() < 0.6 else rng.uniform(-0.3, 0.35) * config.height)


def _visible(labels: np.ndarray, drawn: Sequence[Drawn], share: float, fraction: float) -> list[bool]:
    """Whether each sprite shows at least `share` of the image and `fraction` of its own silhouette."""
    areas = np.bincount(labels.ravel(), minlength=len(drawn) + 1)[1:]
    needed = [max(share * labels.size, fraction * sprite.silhouette_px, 1) for sprite in drawn]
    return [bool(area >= least) for area, least in zip(areas, needed, strict=True)]


def _draw_valid(
    rng: np.random.Generator,
    art: ArtLibrary,
    config: SceneConfig,
    stage: _Stage,
    placements: list[Placement],
    seed: int,
) -> Scene | None:
    """The finished scene, without objects that are barely visible at full resolution; None if under two kinds stay."""
    drawn = [render(placement, art) for placement in placements]
    while True:
        if len({placement.noun.name for placement in placements}) < 2 or len(placements) < config.min_objects:
            return None
        labels = paint_labels(drawn, config.width, config.height)
        verdicts = _visible(labels, drawn, config.min_visible_share, config.min_visible_fraction)
        kept = [index for index, fine in enumerate(verdicts) if fine]
        if len(kept) == len(drawn):
            break
        placements, drawn = [placements[i] for i in kept], [drawn[i] for i in kept]
    image = draw(rng, stage.background, placements, drawn, config.recolour_share)
    image = augment(rng, image) if config.augment else image
    pairs = enumerate(placements, start=1)
    objects = tuple(describe(labels, mask_id, placement.noun, placement.style) for mask_id, placement in pairs)
    return Scene(image, labels, objects, stage.kind, seed)


def describe(labels: np.ndarray, mask_id: int, noun: Noun, style: str) -> SceneObject:
    """The object of a noun with this value in the label map; it must have visible pixels."""
    mask = labels == mask_id
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return SceneObject(noun, style, mask_id, box, int(np.count_nonzero(mask)))


def augment(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Slight changes of exposure and contrast, sensor noise, and sometimes blur or JPEG; geometry stays."""
    gain, lift = rng.uniform(0.85, 1.12), rng.uniform(-12, 12)
    table = np.clip((np.arange(256) - 128) * gain + 128 + lift, 0, 255).astype(np.uint8)
    picture = Image.fromarray(image).point(table.tolist() * 3)
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.8)))
    strength = int(rng.integers(0, 8))
    if strength:
        grain = rng.integers(-strength, strength + 1, size=image.shape, dtype=np.int8)
        noisy = np.clip(np.asarray(picture, np.int16) + grain, 0, 255).astype(np.uint8)
        picture = Image.fromarray(noisy)
    if rng.random() < 0.3:
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=int(rng.integers(55, 96)))
        picture = Image.open(buffer).convert("RGB")
    return np.array(picture)

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

from stamp.training.art import ArtLibrary
from stamp.training.backgrounds import panorama_crop, procedural_background
from stamp.training.compositing import Drawn, Placement, draw, paint_labels, render
from stamp.training.nouns import Noun

TRAIN_SEEDS = range(10**9)
VALIDATION_SEEDS = range(10**9, 10**9 + 10**6)

PLAN_SIDE_PX = 64
PLACEMENT_TRIES = 16
SCENE_TRIES = 50
STEADY_CATEGORIES = ("vehicle", "furniture", "building", "electronics", "plant")
NEVER_MIRRORED = ("clock",)


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
    """`image` (H, W, 3) uint8; `labels` (H, W) uint8, 0 background, k the visible pixels of object k."""

    image: np.ndarray
    labels: np.ndarray
    objects: tuple[SceneObject, ...]
    background: str
    seed: int

    def mask(self, mask_id: int) -> np.ndarray:
        """(H, W) bool, the visible pixels of the object with this `mask_id` (from 1)."""
        if not 1 <= mask_id <= len(self.objects):
            raise ValueError(f"mask_id must be 1..{len(self.objects)}, got {mask_id}")
        return np.asarray(self.labels == mask_id)


@dataclass(frozen=True)
class SceneConfig:
    """What scenes look like. Sizes in pixels; shares are of the image area, probabilities 0..1.

    `min_area_share` and `max_area_share` bound the silhouette at placement; a kept object shows at least
    `min_visible_share` of the image and `min_visible_fraction` of its own silhouette, and in all but a
    `crowded_share` of the scenes about 85 % of its silhouette.
    """

    width: int = 384
    height: int = 384
    min_objects: int = 2
    max_objects: int = 5
    styles: tuple[str, ...] = ("fluent3d", "noto")
    panorama_share: float = 0.65
    min_area_share: float = 0.03
    max_area_share: float = 0.40
    min_visible_share: float = 0.025
    min_visible_fraction: float = 0.55
    repeat_share: float = 0.45
    other_style_share: float = 0.15
    crowded_share: float = 0.35
    augment: bool = True

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 32:
            raise ValueError(f"expected at least 32 x 32 pixels, got {self.width} x {self.height}")
        if not 2 <= self.min_objects <= self.max_objects <= 8:
            raise ValueError(
                f"expected 2 <= min_objects <= max_objects <= 8, got {self.min_objects}, {self.max_objects}"
            )
        if not 0 < self.min_visible_share <= self.min_area_share < self.max_area_share <= 1:
            shares = (self.min_visible_share, self.min_area_share, self.max_area_share)
            raise ValueError(f"expected 0 < min_visible_share <= min_area_share < max_area_share <= 1, got {shares}")
        if not self.styles:
            raise ValueError("expected at least one style, got none")
        for name in ("panorama_share", "min_visible_fraction", "repeat_share", "other_style_share", "crowded_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0..1, got {getattr(self, name)}")


@dataclass(frozen=True)
class _Stage:
    """Where a scene plays: background (H, W, 3) uint8, and the horizon row in pixels or None for a flat scene."""

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
        placements = _place_all(rng, art, config, stage)
        scene = _draw_valid(rng, art, config, stage, placements, seed)
        if scene is not None:
            return scene
    raise RuntimeError(f"no layout for seed {seed} met the limits of {config} in {SCENE_TRIES} tries")


def _choose_stage(rng: np.random.Generator, art: ArtLibrary, config: SceneConfig) -> _Stage:
    panoramas = art.panoramas if rng.random() < config.panorama_share else []
    if panoramas:
        panorama = panoramas[int(rng.integers(len(panoramas)))]
        image, horizon_y = panorama_crop(rng, panorama, config.width, config.height)
        return _Stage(image, "panorama", horizon_y)
    image = procedural_background(rng, config.width, config.height)
    return _Stage(image, "procedural", None if rng.random() < 0.6 else rng.uniform(-0.3, 0.35) * config.height)


def _choose_nouns(rng: np.random.Generator, art: ArtLibrary, config: SceneConfig) -> list[Noun]:
    """Nouns of one scene in random order, at least two kinds; some scenes show one kind several times."""
    count = int(rng.integers(config.min_objects, config.max_objects + 1))
    repeats = 1
    if rng.random() < config.repeat_share and config.max_objects >= 3:
        count = max(count, 3)
        repeats = int(rng.integers(2, count))
    kinds = rng.choice(len(art.nouns), size=count - repeats + 1, replace=False)
    chosen = [art.nouns[int(kinds[0])]] * repeats + [art.nouns[int(kind)] for kind in kinds[1:]]
    return [chosen[int(i)] for i in rng.permutation(count)]


def _place_all(rng: np.random.Generator, art: ArtLibrary, config: SceneConfig, stage: _Stage) -> list[Placement]:
    """Placements that leave one another visible, judged on a coarse grid; what finds no place is left out."""
    nouns = _choose_nouns(rng, art, config)
    scene_style = config.styles[int(rng.integers(len(config.styles)))]
    near_share = rng.uniform(0.12, max(0.13, min(config.max_area_share, 1.2 / len(nouns))))
    crowded = rng.random() < config.crowded_share
    fraction = min(1.0, config.min_visible_fraction * 1.08) if crowded else max(0.85, config.min_visible_fraction)
    scale = PLAN_SIDE_PX / max(config.width, config.height)
    grid_w, grid_h = round(config.width * scale), round(config.height * scale)
    placed: list[tuple[Placement, Drawn]] = []
    for noun in nouns:
        other = rng.random() < config.other_style_share
        style = config.styles[int(rng.integers(len(config.styles)))] if other else scene_style
        for tries in range(PLACEMENT_TRIES):
            candidate = _propose(rng, art, config, stage, noun, style, near_share * 0.93**tries)
            trial = sorted([*placed, (candidate, render(candidate, art, scale))], key=lambda pair: pair[0].depth)
            drawn = [sprite for _, sprite in trial]
            share = config.min_visible_share * 1.05
            if all(_visible(paint_labels(drawn, grid_w, grid_h), drawn, share, fraction)):
                placed = trial
                break
    return [placement for placement, _ in placed]


def _propose(
    rng: np.random.Generator,
    art: ArtLibrary,
    config: SceneConfig,
    stage: _Stage,
    noun: Noun,
    style: str,
    near_share: float,
) -> Placement:
    """A random placement that follows the stage's perspective; it may still hide or be hidden."""
    floats = noun.flies and rng.random() < 0.85
    nearness = float(rng.uniform(0.45, 1.0))  # 1: at the bottom edge of the image
    if stage.horizon_y is None:
        nearness = float(rng.uniform(0.5, 1.1))
    share = near_share * nearness**2 * np.exp(rng.normal(0, 0.25))
    share = float(np.clip(share, config.min_area_share * 1.1, config.max_area_share * 0.95))
    level = art.mipmap(style, noun)[0]
    fill = art.coverage(style, noun)
    height = np.sqrt(share * config.width * config.height / fill * level.height / level.width)
    width = height * level.width / level.height
    shrink = min(1.0, 0.92 * config.width / width, 0.92 * config.height / height)
    width, height = width * shrink, height * shrink
    overhang = 0.12 if rng.random() < 0.3 else 0.0
    x = rng.uniform((0.5 - overhang) * width, config.width - (0.5 - overhang) * width)
    if stage.horizon_y is None:
        y = rng.uniform(height / 2, config.height - height / 2)
    elif floats:
        y = rng.uniform(height / 2, max(height / 2 + 1, min(config.height * 0.6, config.height - height / 2)))
    else:
        foot = stage.horizon_y + nearness * (config.height * rng.uniform(0.95, 1.0) - stage.horizon_y)
        y = max(foot, height * (1 - overhang)) - height / 2
    steady = noun.category in STEADY_CATEGORIES and stage.horizon_y is not None and not floats
    turn = rng.normal(0, 2 if steady else 9 if floats or stage.horizon_y is None else 5)
    mirrored = bool(rng.random() < 0.5) and noun.name not in NEVER_MIRRORED
    has_shadow = not floats and (stage.horizon_y is not None or rng.random() < 0.5)
    return Placement(noun, style, x, y, width, height, float(turn), mirrored, nearness, has_shadow)


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
    """The finished scene, without objects that show too little at full resolution; None if under two kinds stay."""
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
    image = draw(rng, stage.background, placements, drawn)
    image = _augment(rng, image) if config.augment else image
    pairs = enumerate(placements, start=1)
    objects = tuple(_describe(labels, mask_id, placement) for mask_id, placement in pairs)
    return Scene(image, labels, objects, stage.kind, seed)


def _describe(labels: np.ndarray, mask_id: int, placement: Placement) -> SceneObject:
    mask = labels == mask_id
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return SceneObject(placement.noun, placement.style, mask_id, box, int(np.count_nonzero(mask)))


def _augment(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Light exposure and contrast change, sensor noise, and at times blur or JPEG; geometry stays."""
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

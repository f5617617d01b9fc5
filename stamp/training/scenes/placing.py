"""Decides where the objects of a scene are: which ones appear, in which drawing, how large and how deep.

Placements are tried one after another on a coarse grid and kept if they leave each other visible.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.compositing import Drawn, Placement, paint_labels, render_opacity
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.scene_config import SceneConfig

PLAN_SIDE_PX = 64
PLACEMENT_TRIES = 16
STEADY_CATEGORIES = frozenset({"vehicle", "furniture", "building", "electronics", "plant"})
#: They show letters, numbers or a dial.
NEVER_MIRRORED = frozenset(
    ("billiard ball", "calendar", "clipboard", "clock", "compass", "globe", "hospital", "mailbox", "map", "medal")
    + ("money bag", "newspaper", "school", "scroll", "shop", "stopwatch", "taxi", "ticket", "watch")
)


@dataclass(frozen=True)
class Actor:
    """An object to place: a noun in one of a style's drawings."""

    noun: Noun
    style: str
    drawing: int


class Plan:
    """The placements so far on a coarse grid, from back to front, and how much of each is visible.

    A sprite shows enough when it covers `share` of the grid and `fraction` of its own silhouette.
    """

    def __init__(self, width: int, height: int, share: float, fraction: float) -> None:
        self.placements: list[Placement] = []
        self._sprites: list[Drawn] = []
        self._labels = np.zeros((height, width), np.uint8)
        self._areas: list[int] = []
        self._share, self._fraction = share, fraction

    def add(self, placement: Placement, sprite: Drawn) -> bool:
        """Adds a sprite at its depth if it and every sprite behind it stay visible enough. Returns whether it did."""
        behind = bisect_right([other.depth for other in self.placements], placement.depth)
        height, width = self._labels.shape
        window, inner = sprite.clip(width, height)
        seen = sprite.solid[inner] & (self._labels[window] <= behind)
        if np.count_nonzero(seen) < self._needed(sprite):
            return False
        lost = np.bincount(self._labels[window][seen], minlength=behind + 1)[1:]
        for area, hidden, other in zip(self._areas, lost, self._sprites, strict=False):
            if area - hidden < self._needed(other):
                return False
        self.placements.insert(behind, placement)
        self._sprites.insert(behind, sprite)
        self._labels = paint_labels(self._sprites, width, height)
        self._areas = np.bincount(self._labels.ravel(), minlength=len(self._sprites) + 1)[1:].tolist()
        return True

    def _needed(self, sprite: Drawn) -> float:
        return max(self._share * self._labels.size, self._fraction * sprite.silhouette_px, 1)


def place_all(
    rng: np.random.Generator, art: ArtLibrary, config: SceneConfig, horizon_y: float | None
) -> list[Placement]:
    """Placements from back to front that leave each other visible; objects that find no place are left out.

    Args:
        horizon_y: the row of the horizon in pixels, or None for a flat scene.
    """
    scene_style = _choose_style(rng, art, config)
    shown = art.nouns_in((scene_style,))
    if len(shown) < config.max_objects:
        raise ValueError(
            f"scenes of up to {config.max_objects} objects need {config.max_objects} nouns in style "
            f"{scene_style!r}, which draws {len(shown)}"
        )
    nouns = _choose_nouns(rng, shown, config)
    near_share = rng.uniform(0.12, max(0.13, min(config.max_area_share, 1.2 / len(nouns))))
    crowded = rng.random() < config.crowded_share
    fraction = min(1.0, config.min_visible_fraction * 1.08) if crowded else max(0.85, config.min_visible_fraction)
    scale = PLAN_SIDE_PX / max(config.width, config.height)
    grid_w, grid_h = round(config.width * scale), round(config.height * scale)
    plan = Plan(grid_w, grid_h, config.min_visible_share * 1.05, fraction)
    for noun in nouns:
        actor = _cast(rng, art, config, noun, scene_style)
        for tries in range(PLACEMENT_TRIES):
            candidate = _propose(rng, art, config, horizon_y, actor, near_share * 0.93**tries)
            if plan.add(candidate, render_opacity(candidate, art, scale)):
                break
    return plan.placements


def _choose_style(rng: np.random.Generator, art: ArtLibrary, config: SceneConfig) -> str:
    """A style, drawn in proportion to its number of nouns, so that each noun of each style is about as frequent."""
    counts = np.array([len(art.nouns_in((style,))) for style in config.styles], np.float64)
    return config.styles[int(rng.choice(len(counts), p=counts / counts.sum()))]


def _choose_nouns(rng: np.random.Generator, nouns: Sequence[Noun], config: SceneConfig) -> list[Noun]:
    """Nouns of one scene in random order, at least two kinds; some scenes show one kind several times."""
    count = int(rng.integers(config.min_objects, config.max_objects + 1))
    repeats = 1
    if rng.random() < config.repeat_share and config.max_objects >= 3:
        count = max(count, 3)
        repeats = int(rng.integers(2, count))
    kinds = rng.choice(len(nouns), size=count - repeats + 1, replace=False)
    chosen = [nouns[int(kinds[0])]] * repeats + [nouns[int(kind)] for kind in kinds[1:]]
    return [chosen[int(i)] for i in rng.permutation(count)]


def _cast(rng: np.random.Generator, art: ArtLibrary, config: SceneConfig, noun: Noun, scene_style: str) -> Actor:
    """The style and drawing of one object: usually the scene's style, always one that shows the noun."""
    other = rng.random() < config.other_style_share
    style = config.styles[int(rng.integers(len(config.styles)))] if other else scene_style
    if not art.drawings(style, noun):
        able = [style for style in config.styles if art.drawings(style, noun)]
        style = able[int(rng.integers(len(able)))]
    drawings = art.drawings(style, noun)
    return Actor(noun, style, int(rng.integers(drawings)) if drawings > 1 else 0)


def _propose(
    rng: np.random.Generator,
    art: ArtLibrary,
    config: SceneConfig,
    horizon_y: float | None,
    actor: Actor,
    near_share: float,
) -> Placement:
    """A random placement that follows the stage's perspective; it may still hide or be hidden."""
    noun, style, drawing = actor.noun, actor.style, actor.drawing
    floats = noun.flies and rng.random() < 0.85
    nearness = float(rng.uniform(0.45, 1.0))  # 1: at the bottom edge of the image
    if horizon_y is None:
        nearness = float(rng.uniform(0.5, 1.1))
    share = near_share * nearness**2 * np.exp(rng.normal(0, 0.25))
    share = min(max(float(share), config.min_area_share * 1.1), config.max_area_share * 0.95)
    level = art.mipmap(style, noun, drawing)[0]
    fill = art.coverage(style, noun, drawing)
    height = np.sqrt(share * config.width * config.height / fill * level.height / level.width)
    width = height * level.width / level.height
    ratio = float(np.exp(rng.normal(0, config.stretch) / 2))
    width, height = width * ratio, height / ratio
    shrink = min(1.0, 0.92 * config.width / width, 0.92 * config.height / height)
    width, height = width * shrink, height * shrink
    overhang = 0.12 if rng.random() < 0.3 else 0.0
    x = rng.uniform((0.5 - overhang) * width, config.width - (0.5 - overhang) * width)
    if horizon_y is None:
        y = rng.uniform(height / 2, config.height - height / 2)
    elif floats:
        y = rng.uniform(height / 2, max(height / 2 + 1, min(config.height * 0.6, config.height - height / 2)))
    else:
        foot = horizon_y + nearness * (config.height * rng.uniform(0.95, 1.0) - horizon_y)
        y = max(foot, height * (1 - overhang)) - height / 2
    grounded = not STEADY_CATEGORIES.isdisjoint((noun.category, *noun.kinds))
    steady = grounded and horizon_y is not None and not floats
    turn = rng.normal(0, 2 if steady else 9 if floats or horizon_y is None else 5)
    mirrored = bool(rng.random() < 0.5) and noun.name not in NEVER_MIRRORED
    has_shadow = not floats and (horizon_y is not None or rng.random() < 0.5)
    return Placement(noun, style, x, y, width, height, float(turn), mirrored, nearness, has_shadow, drawing)

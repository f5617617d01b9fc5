from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stamp.training.scenes.art import ArtLibrary, sprite_path
from stamp.training.scenes.backgrounds import panorama_crop, procedural_background, vary
from stamp.training.scenes.compositing import Drawn, Placement, draw, paint_labels, render, render_opacity
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.placing import Plan, place_all
from stamp.training.scenes.rasterise import write_png
from stamp.training.scenes.scenes import (
    TRAIN_SEEDS,
    VALIDATION_SEEDS,
    Scene,
    SceneConfig,
    compose_scene,
)
from stamp.training.scenes.sheets import BACKDROP, LABEL_PX, TILE_PX, TILES_IN_A_ROW, contact_sheet, vocabulary_sheets
from tests.training.conftest import NOUN, NOUNS, STYLES

CONFIG = SceneConfig(STYLES, width=96, height=80)
SEEDS = range(40)


@pytest.fixture(scope="module")
def scenes(library: ArtLibrary) -> list[Scene]:
    return [compose_scene(seed, library, CONFIG) for seed in SEEDS]


def test_a_scene_is_a_pure_function_of_its_seed(library: ArtLibrary, scenes: list[Scene]) -> None:
    for seed in (0, 7, 31):
        again = compose_scene(seed, library, CONFIG)
        assert np.array_equal(again.image, scenes[seed].image)
        assert np.array_equal(again.labels, scenes[seed].labels)
        assert again.objects == scenes[seed].objects
    assert not np.array_equal(scenes[0].image, scenes[1].image)


def test_scenes_of_old_seeds_stay_as_they_were(scenes: list[Scene]) -> None:
    """Figures of a checkpoint are measured on scenes that a seed must give again."""
    shown = [[(item.noun.name, item.style, item.box_xyxy, item.area_px) for item in scenes[i].objects] for i in (1, 2)]
    assert shown == [
        [
            ("apple", "round", (61, 21, 77, 42), 257),
            ("apple", "edgy", (11, 13, 33, 43), 318),
            ("apple", "round", (37, 21, 51, 44), 256),
            ("apple", "round", (10, 39, 25, 65), 313),
            ("guitar", "round", (34, 46, 74, 75), 897),
        ],
        [
            ("banana", "edgy", (0, 18, 20, 51), 366),
            ("duck", "edgy", (49, 27, 89, 64), 769),
            ("banana", "edgy", (15, 17, 53, 65), 902),
        ],
    ]
    assert [int(scenes[i].image.sum()) for i in (1, 2)] == pytest.approx([2052465, 2144785], rel=1e-4)


def test_recolouring_alone_changes_no_label(library: ArtLibrary) -> None:
    recoloured = replace(CONFIG, recolour_share=1.0, augment=False)
    for seed in range(6):
        plain, other = (compose_scene(seed, library, c) for c in (replace(CONFIG, augment=False), recoloured))
        assert np.array_equal(plain.labels, other.labels)
        assert not np.array_equal(plain.image, other.image)


def test_a_style_shows_only_what_it_draws(library: ArtLibrary) -> None:
    nouns = NOUNS[:6]
    few = {(style, noun.name): library.sprite(style, noun) for style in STYLES for noun in nouns}
    del few["edgy", "apple"], few["edgy", "banana"]
    partial = ArtLibrary.from_arrays(few, nouns)
    for seed in range(30):
        scene = compose_scene(seed, partial, replace(CONFIG, max_objects=3))
        assert {(item.style, item.noun.name) for item in scene.objects} <= set(few)
    alone = replace(CONFIG, max_objects=3, styles=("edgy",))
    names = {item.noun.name for seed in range(12) for item in compose_scene(seed, partial, alone).objects}
    assert names == {noun.name for noun in nouns[2:]}
    with pytest.raises(ValueError, match="up to 6 objects need 6 nouns in style 'edgy', which draws 4"):
        compose_scene(0, partial, replace(CONFIG, styles=("edgy",)))


def test_a_noun_appears_in_each_of_its_drawings(tmp_path: Path) -> None:
    nouns = [
        Noun(name, f"{name}s", "toy", drawings=(("drawn", f"1f{i}"), ("drawn", f"2f{i}")))
        for i, name in enumerate(("ball", "kite"))
    ]
    for noun in nouns:
        for style, key in noun.drawings:
            write_png(Image.new("RGBA", (64, 64), (200, int(key[0]), 60, 255)), sprite_path(tmp_path, style, key))
    library = ArtLibrary(tmp_path, ["drawn"], nouns)
    config = replace(CONFIG, styles=("drawn",), max_objects=2, panorama_share=0.0)
    rng = np.random.default_rng(0)
    placed = [item for _ in range(20) for item in place_all(rng, library, config, None)]
    assert {(item.noun.name, item.drawing) for item in placed} == {("ball", 0), ("ball", 1), ("kite", 0), ("kite", 1)}
    assert {int(render(item, library).pixels[..., 1].max()) for item in placed if item.drawing} == {2}


@given(st.integers(0, 10**6))
def test_a_plan_takes_exactly_what_leaves_all_visible(seed: int) -> None:
    """Against painting everything again for each candidate."""
    rng = np.random.default_rng(seed)
    plan = Plan(20, 16, share=0.02, fraction=0.6)
    kept: list[tuple[Placement, Drawn]] = []
    for _ in range(8):
        sprite = Drawn(
            (rng.random(rng.integers(2, 10, 2)) * 300).clip(0, 255).astype(np.uint8), *rng.integers(-3, 16, 2).tolist()
        )
        placement = Placement(NOUNS[0], "s", 0, 0, 1, 1, 0, False, float(rng.integers(0, 4)), False)
        trial = sorted([*kept, (placement, sprite)], key=lambda pair: pair[0].depth)
        labels = paint_labels([other for _, other in trial], 20, 16)
        fine = all(
            (labels == index).sum() >= max(0.02 * 320, 0.6 * (other.pixels >= 128).sum(), 1)
            for index, (_, other) in enumerate(trial, start=1)
        )
        assert plan.add(placement, sprite) == fine
        kept = trial if fine else kept
        assert plan.placements == [placement for placement, _ in kept]


def test_opacity_alone_is_rendered_as_in_colour(library: ArtLibrary) -> None:
    placement = Placement(NOUNS[1], "edgy", 40, 35, 31, 47, 23.0, True, 1.0, False)
    colour, opacity = render(placement, library), render_opacity(placement, library, 1.0)
    assert np.array_equal(colour.pixels[..., 3], opacity.pixels)
    assert (colour.left, colour.top, colour.silhouette_px) == (opacity.left, opacity.top, opacity.silhouette_px)


def test_labels_agree_with_masks_areas_and_boxes(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (80, 96, 3)
        assert scene.image.dtype == np.uint8
        assert scene.labels.shape == (80, 96)
        assert scene.labels.dtype == np.uint8
        assert [item.mask_id for item in scene.objects] == list(range(1, len(scene.objects) + 1))
        assert set(np.unique(scene.labels)) - {0} == {item.mask_id for item in scene.objects}
        for item in scene.objects:
            pixels = [(x, y) for y in range(80) for x in range(96) if scene.labels[y, x] == item.mask_id]
            xs, ys = zip(*pixels, strict=True)
            assert item.area_px == len(pixels) == scene.mask(item.mask_id).sum()
            assert item.box_xyxy == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)


def test_kept_objects_meet_the_limits(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert CONFIG.min_objects <= len(scene.objects) <= CONFIG.max_objects
        assert len({item.noun.name for item in scene.objects}) >= 2
        for item in scene.objects:
            assert CONFIG.min_visible_share <= item.area_px / scene.labels.size <= CONFIG.max_area_share + 0.01


def test_objects_show_enough_of_their_silhouette(library: ArtLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Drawn]] = []

    def spy(rng: Any, background: Any, placements: Any, drawn: list[Drawn], *more: Any) -> np.ndarray:
        seen.append(list(drawn))
        return draw(rng, background, placements, drawn, *more)

    monkeypatch.setattr("stamp.training.scenes.scenes.draw", spy)
    for seed in SEEDS:
        scene = compose_scene(seed, library, CONFIG)
        for item, sprite in zip(scene.objects, seen[-1], strict=True):
            silhouette = int((sprite.pixels[..., 3] >= 128).sum())
            assert item.area_px >= CONFIG.min_visible_fraction * silhouette


def test_scenes_vary_in_number_repeats_and_background(scenes: list[Scene]) -> None:
    repeats = [max(Counter(item.noun.name for item in scene.objects).values()) for scene in scenes]
    assert {1, 2} <= set(repeats)
    assert {scene.background for scene in scenes} == {"panorama", "procedural"}
    assert len({len(scene.objects) for scene in scenes}) >= 3


def test_an_occluded_pixel_belongs_to_the_solid_sprite_on_top() -> None:
    low, high = np.full((4, 4, 4), 255, np.uint8), np.full((4, 4, 4), 128, np.uint8)
    high[0, 0] = 127
    labels = paint_labels([Drawn(low, 0, 0), Drawn(high, 2, 2)], width=5, height=5)
    expected = np.zeros((5, 5), np.uint8)
    expected[:4, :4] = 1
    expected[2:, 2:] = 2
    expected[2, 2] = 1  # the top sprite is less than half opaque here
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize("mirrored", [False, True])
def test_render_places_a_sprite_where_the_placement_says(library: ArtLibrary, mirrored: bool) -> None:
    placement = Placement(NOUNS[0], "round", 50, 40, 20, 30, 0.0, mirrored, 1.0, False)
    labels = paint_labels([render(placement, library)], 96, 80)
    rows, columns = np.nonzero(labels)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.array(box) - (40, 25, 60, 55)).max() <= 1
    assert labels.sum() == pytest.approx(np.pi * 10 * 15, rel=0.03)


def test_turning_a_sprite_is_anticlockwise() -> None:
    bar = np.zeros((100, 100, 4), np.uint8)
    bar[45:55, 50:] = 255  # points right from the centre
    library = ArtLibrary.from_arrays({("bar", NOUNS[0].name): bar}, [NOUNS[0]])
    placement = Placement(NOUNS[0], "bar", 50, 50, 80, 80, 90.0, False, 1.0, False)
    rows, columns = np.nonzero(paint_labels([render(placement, library)], 100, 100))
    assert rows.max() <= 51
    assert abs(columns.mean() - 49.5) < 1


def test_panorama_horizon_row_is_where_the_colours_meet(library: ArtLibrary) -> None:
    for seed in range(8):
        crop, horizon_y = panorama_crop(np.random.default_rng(seed), library.panoramas[0], 200, 160)
        assert crop.shape == (160, 200, 3)
        meeting = int(np.argmax(crop[:, 100, 1] > crop[:, 100, 2]))
        assert abs(meeting - max(horizon_y, 0)) <= 4


def test_backgrounds_fill_the_image_and_varied_ones_keep_the_horizon() -> None:
    for seed in range(40):
        image = procedural_background(np.random.default_rng(seed), 50, 70)
        assert image.shape == (70, 50, 3)
        assert image.dtype == np.uint8
        half = np.zeros((40, 30, 3), np.uint8)
        half[:20] = 160
        varied = vary(np.random.default_rng(seed), half)
        assert varied.shape == half.shape
        assert varied.dtype == np.uint8
        assert varied[:20].mean() > varied[20:].mean() + 60


def test_seed_ranges_are_disjoint() -> None:
    assert TRAIN_SEEDS.stop <= VALIDATION_SEEDS.start
    assert len(VALIDATION_SEEDS) == 10**6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 8}, "at least 32 x 32 pixels, got 8 x 384"),
        ({"min_objects": 1}, "2 <= min_objects"),
        ({"min_objects": 4, "max_objects": 3}, "got 4, 3"),
        ({"min_area_share": 0.5}, "min_area_share < max_area_share"),
        ({"min_visible_share": 0.2}, "min_visible_share <= min_area_share"),
        ({"styles": ()}, "at least one style"),
        ({"panorama_share": 1.2}, "panorama_share must be 0..1, got 1.2"),
        ({"min_visible_fraction": -0.1}, "min_visible_fraction must be"),
        ({"recolour_share": 2.0}, "recolour_share must be 0..1"),
        ({"stretch": 0.9}, "stretch must be 0..0.5, got 0.9"),
    ],
)
def test_contradictory_configurations_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SceneConfig(STYLES), **changes)


def test_impossible_limits_end_with_an_error(library: ArtLibrary) -> None:
    config = SceneConfig(STYLES, 64, 64, min_visible_share=0.6, min_area_share=0.7, max_area_share=0.9)
    with pytest.raises(RuntimeError, match="no layout for seed 3"):
        compose_scene(3, library, config)


def test_mask_refuses_other_ids(scenes: list[Scene]) -> None:
    for wrong in (0, len(scenes[0].objects) + 1):
        with pytest.raises(ValueError, match="mask_id must be"):
            scenes[0].mask(wrong)


def test_vocabulary_sheets_show_every_noun(library: ArtLibrary) -> None:
    pages = list(vocabulary_sheets(library, columns=1, rows=4))
    assert len(pages) == 4
    assert pages[0].size == (LABEL_PX + TILES_IN_A_ROW * TILE_PX, 4 * TILE_PX)
    tiles = [
        np.asarray(page)[row * TILE_PX + 4 : (row + 1) * TILE_PX, LABEL_PX + i * TILE_PX :][:, :TILE_PX]
        for page in pages
        for row in range(4)
        for i in range(3)
    ]
    drawn = [bool((tile != BACKDROP).any()) for tile in tiles]
    assert drawn == [True, True, False] * len(NOUNS) + [False] * 9


def test_contact_sheet_size(scenes: list[Scene]) -> None:
    assert contact_sheet(scenes[:5], columns=3).size == (3 * 96, 2 * 80 * 2)
    with pytest.raises(ValueError, match="at least one scene"):
        contact_sheet([], columns=3)


def placed(name: str, x: float, y: float, width: float, height: float, depth: float) -> Placement:
    return Placement(NOUN[name], "edgy" if name == "cat" else "round", x, y, width, height, 0.0, False, depth, False)


def test_an_object_is_kept_if_it_shows_enough_of_itself_and_of_the_picture(
    library: ArtLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The apple behind the cat, in a layout by hand; what each shows is counted on sprites drawn one by one."""
    layout = [placed("apple", 28, 40, 28, 28, 1), placed("cat", 44, 40, 36, 44, 2), placed("bus", 80, 40, 26, 44, 3)]
    monkeypatch.setattr("stamp.training.scenes.scenes.place_all", lambda *_: layout)
    apple, cat, _ = (paint_labels([render(one, library)], 96, 80) > 0 for one in layout)
    shown, whole = int((apple & ~cat).sum()), int(apple.sum())
    assert 0.5 < shown / whole < 0.8
    assert shown > 200

    def names(fraction: float, share: float = 0.001) -> list[str]:
        config = replace(CONFIG, min_visible_fraction=fraction, min_visible_share=share, min_area_share=0.2)
        return [item.noun.name for item in compose_scene(0, library, config).objects]

    assert names(shown / whole) == ["apple", "cat", "bus"]
    assert names((shown + 1) / whole) == ["cat", "bus"]
    assert names(0.1, shown / (96 * 80)) == ["apple", "cat", "bus"]
    assert names(0.1, (shown + 1) / (96 * 80)) == ["cat", "bus"]


def test_what_is_left_must_be_a_scene(library: ArtLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kinds at least, and as many objects as are asked for."""
    layout = [
        placed("apple", 20, 20, 24, 24, 1),
        placed("apple", 70, 20, 24, 24, 2),
        placed("apple", 20, 60, 24, 24, 3),
    ]
    monkeypatch.setattr("stamp.training.scenes.scenes.place_all", lambda *_: layout)
    with pytest.raises(RuntimeError, match="no layout for seed 0"):
        compose_scene(0, library, CONFIG)
    layout[0] = placed("cat", 20, 20, 24, 24, 1)
    assert len(compose_scene(0, library, CONFIG).objects) == 3
    with pytest.raises(RuntimeError, match="no layout for seed 0"):
        compose_scene(0, library, replace(CONFIG, min_objects=4))


def test_objects_show_what_the_limits_ask_for_in_crowds_and_most_of_themselves_elsewhere(
    library: ArtLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    fractions: list[float] = []

    class Witness(Plan):
        def __init__(self, width: int, height: int, share: float, fraction: float) -> None:
            assert share == pytest.approx(1.05 * CONFIG.min_visible_share)
            fractions.append(fraction)
            super().__init__(width, height, share, fraction)

    monkeypatch.setattr("stamp.training.scenes.placing.Plan", Witness)
    for crowded, least, fraction in ((1.0, 0.5, 0.54), (0.0, 0.5, 0.85), (0.0, 0.9, 0.9), (1.0, 0.97, 1.0)):
        place_all(
            np.random.default_rng(0),
            library,
            replace(CONFIG, crowded_share=crowded, min_visible_fraction=least),
            None,
        )
        assert fractions.pop() == pytest.approx(fraction)

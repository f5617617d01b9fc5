from collections import Counter

import numpy as np
import pytest

from stamp.training.art import ArtLibrary
from stamp.training.backgrounds import panorama_crop, procedural_background
from stamp.training.compositing import Drawn, Placement, draw, paint_labels, render
from stamp.training.nouns import NOUNS
from stamp.training.scenes import (
    TRAIN_SEEDS,
    VALIDATION_SEEDS,
    Scene,
    SceneConfig,
    compose_scene,
)
from stamp.training.sheets import contact_sheet
from tests.training.conftest import STYLES

CONFIG = SceneConfig(width=96, height=80, styles=STYLES)
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


def test_labels_agree_with_masks_areas_and_boxes(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (80, 96, 3) and scene.image.dtype == np.uint8
        assert scene.labels.shape == (80, 96) and scene.labels.dtype == np.uint8
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

    def spy(rng: np.random.Generator, background: np.ndarray, placements: list[Placement], drawn: list[Drawn]):
        seen.append(list(drawn))
        return draw(rng, background, placements, drawn)

    monkeypatch.setattr("stamp.training.scenes.draw", spy)
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
    assert rows.max() <= 51 and abs(columns.mean() - 49.5) < 1


def test_panorama_horizon_row_is_where_the_colours_meet(library: ArtLibrary) -> None:
    for seed in range(8):
        crop, horizon_y = panorama_crop(np.random.default_rng(seed), library.panoramas[0], 200, 160)
        assert crop.shape == (160, 200, 3)
        meeting = int(np.argmax(crop[:, 100, 1] > crop[:, 100, 2]))
        assert abs(meeting - max(horizon_y, 0)) <= 4


def test_every_procedural_background_fills_the_image() -> None:
    for seed in range(30):
        image = procedural_background(np.random.default_rng(seed), 50, 70)
        assert image.shape == (70, 50, 3) and image.dtype == np.uint8


def test_seed_ranges_are_disjoint() -> None:
    assert TRAIN_SEEDS.stop <= VALIDATION_SEEDS.start and len(VALIDATION_SEEDS) == 10**6


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
    ],
)
def test_contradictory_configurations_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneConfig(**changes)


def test_impossible_limits_end_with_an_error(library: ArtLibrary) -> None:
    config = SceneConfig(
        width=64, height=64, styles=STYLES, min_visible_share=0.6, min_area_share=0.7, max_area_share=0.9
    )
    with pytest.raises(RuntimeError, match="no layout for seed 3"):
        compose_scene(3, library, config)


def test_mask_refuses_other_ids(scenes: list[Scene]) -> None:
    for wrong in (0, len(scenes[0].objects) + 1):
        with pytest.raises(ValueError, match="mask_id must be"):
            scenes[0].mask(wrong)


def test_contact_sheet_size(scenes: list[Scene]) -> None:
    assert contact_sheet(scenes[:5], columns=3).size == (3 * 96, 2 * 80 * 2)
    with pytest.raises(ValueError, match="at least one scene"):
        contact_sheet([], columns=3)

"""The cells of a scene, against loops over its label map."""

import numpy as np
import pytest

from stamp.training.learning.cells import N_PLACE, Grid, by_noun, cell_places, object_attributes, object_coverage
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.scenes import SceneConfig, compose_scene
from tests.training.conftest import LEXICON, NOUNS, STYLES


def test_coverage_against_loops(library: ArtLibrary) -> None:
    scene = compose_scene(5, library, SceneConfig(STYLES, width=96, height=64))
    objects = object_coverage(scene)
    nouns = by_noun(scene, objects, LEXICON)
    cell = 0
    for top in range(0, 64, 16):
        for left in range(0, 96, 16):
            labels = scene.labels[top : top + 16, left : left + 16]
            shares = [float((labels == k).mean()) for k in range(len(scene.objects) + 1)]
            assert objects[cell].tolist() == pytest.approx(shares)
            expected = np.zeros(len(NOUNS) + 1)
            expected[0] = shares[0]
            for item in scene.objects:
                expected[1 + NOUNS.index(item.noun)] += shares[item.mask_id]
            assert nouns[cell].tolist() == pytest.approx(expected.tolist())
            cell += 1


def test_attributes_against_the_label_map(library: ArtLibrary) -> None:
    for seed in range(6):
        scene = compose_scene(seed, library, SceneConfig(STYLES, width=224, height=160))
        table = object_attributes(scene)
        assert table[0].tolist() == [0] * 3
        for item in scene.objects:
            ys, xs = np.nonzero(scene.labels == item.mask_id)
            x, y, area = table[item.mask_id].tolist()
            assert x == pytest.approx((xs.min() + xs.max() + 1) / 224 - 1)
            assert y == pytest.approx((ys.min() + ys.max() + 1) / 160 - 1)
            assert 0.025 * (0.4 / 0.025) ** ((area + 1) / 2) == pytest.approx(len(xs) / (224 * 160), rel=1e-5)


def test_places_of_cells_are_their_centres_row_by_row() -> None:
    places = cell_places(2, 4)
    assert places.dtype == np.float32
    x, y = (-0.75, -0.25, 0.25, 0.75), (-0.5, 0.5)
    assert places.tolist() == [[column, row] for row in y for column in x]


def test_a_cell_shows_the_way_to_the_centre_of_its_object(library: ArtLibrary) -> None:
    """In a cell of one object, offset and own place make the centre of that object's box; the background has none."""
    width, height, whole, empty = 160, 96, 0, 0
    for seed in range(8):
        scene = compose_scene(seed, library, SceneConfig(STYLES, width, height))
        grid = Grid.of(scene, LEXICON)
        for cell, attributes in enumerate(grid.attributes.tolist()):
            top, left = 16 * (cell // 10), 16 * (cell % 10)
            shown = np.unique(scene.labels[top : top + 16, left : left + 16]).tolist()
            if shown == [0]:
                assert attributes == [0, 0, 0]
                empty += 1
            elif len(shown) == 1:
                ys, xs = np.nonzero(scene.labels == shown[0])
                centre = ((xs.min() + xs.max() + 1) / 2, (ys.min() + ys.max() + 1) / 2)
                offset_px = (centre[0] - (left + 8), centre[1] - (top + 8))
                assert attributes[:N_PLACE] == pytest.approx(
                    [offset_px[0] / (width / 2), offset_px[1] / (height / 2)], abs=1e-5
                )
                whole += 1
    assert whole > 20
    assert empty > 20


def test_mixed_cells_show_their_objects_by_coverage(library: ArtLibrary) -> None:
    scene = compose_scene(1, library, SceneConfig(STYLES, 96, 96))
    grid = Grid.of(scene, LEXICON)
    table = object_attributes(scene)
    mixed = 0
    for cell in range(36):
        place = np.array([(cell % 6 + 0.5) / 3 - 1, (cell // 6 + 0.5) / 3 - 1, 0])
        expected = sum(grid.objects[cell, k] * (table[k] - place) for k in range(1, len(table)))
        assert grid.attributes[cell].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
        mixed += int(np.count_nonzero(grid.objects[cell]) > 1)
    assert mixed > 5
    assert grid.cover([1, 2]).tolist() == pytest.approx((grid.objects[:, 1] + grid.objects[:, 2]).tolist())


def test_parts_add_up_to_the_number_of_objects(library: ArtLibrary) -> None:
    for seed in range(6):
        scene = compose_scene(seed, library, SceneConfig(STYLES, 96, 96))
        grid = Grid.of(scene, LEXICON)
        names = [item.noun.name for item in scene.objects]
        for number, noun in enumerate(NOUNS, start=1):
            assert grid.parts[:, number].sum() == pytest.approx(names.count(noun.name), abs=1e-5)
        item = scene.objects[0]
        if names.count(item.noun.name) == 1:
            share = grid.objects[:, item.mask_id]
            assert grid.parts[:, 1 + NOUNS.index(item.noun)].tolist() == pytest.approx((share / share.sum()).tolist())

"""The cells of a scene, against loops over its label map."""

import numpy as np
import pytest

from stamp.training.art import ArtLibrary
from stamp.training.cells import Grid, by_noun, object_attributes, object_coverage
from stamp.training.nouns import NOUNS
from stamp.training.scenes import SceneConfig, compose_scene
from tests.training.conftest import STYLES


def test_coverage_against_loops(library: ArtLibrary) -> None:
    scene = compose_scene(5, library, SceneConfig(width=96, height=64, styles=STYLES))
    objects = object_coverage(scene)
    nouns = by_noun(scene, objects)
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
        scene = compose_scene(seed, library, SceneConfig(width=224, height=160, styles=STYLES))
        table = object_attributes(scene)
        assert table[0].tolist() == [0] * 3
        for item in scene.objects:
            ys, xs = np.nonzero(scene.labels == item.mask_id)
            x, y, area = table[item.mask_id].tolist()
            assert x == pytest.approx((xs.min() + xs.max() + 1) / 224 - 1)
            assert y == pytest.approx((ys.min() + ys.max() + 1) / 160 - 1)
            assert 0.025 * (0.4 / 0.025) ** ((area + 1) / 2) == pytest.approx(len(xs) / (224 * 160), rel=1e-5)


def test_cells_have_the_attributes_of_their_objects(library: ArtLibrary) -> None:
    scene = compose_scene(1, library, SceneConfig(width=96, height=96, styles=STYLES))
    grid = Grid.of(scene)
    table = object_attributes(scene)
    for cell in range(36):
        expected = sum(grid.objects[cell, k] * table[k] for k in range(len(table)))
        assert grid.attributes[cell].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert grid.cover([1, 2]).tolist() == pytest.approx((grid.objects[:, 1] + grid.objects[:, 2]).tolist())


def test_parts_add_up_to_the_number_of_objects(library: ArtLibrary) -> None:
    for seed in range(6):
        scene = compose_scene(seed, library, SceneConfig(width=96, height=96, styles=STYLES))
        grid = Grid.of(scene)
        names = [item.noun.name for item in scene.objects]
        for number, noun in enumerate(NOUNS, start=1):
            assert grid.parts[:, number].sum() == pytest.approx(names.count(noun.name), abs=1e-5)
        item = scene.objects[0]
        if names.count(item.noun.name) == 1:
            share = grid.objects[:, item.mask_id]
            assert grid.parts[:, 1 + NOUNS.index(item.noun)].tolist() == pytest.approx((share / share.sum()).tolist())

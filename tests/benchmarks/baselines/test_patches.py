"""Patches of masks: against brute force."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.baselines.patches import draw_patches, patches_of, write_patches
from stamp.pictures.masks import intersection_over_union
from stamp.refinement import make_refiner
from tests.benchmarks.baselines.blobs import SHAPES, Shape, blobs


@given(
    st.lists(st.booleans(), min_size=256, max_size=256), st.sampled_from(["crab", "ice cream", "musical instruments"])
)
@settings(max_examples=60, deadline=None)
def test_the_text_says_every_patch(cells: list[bool], label: str) -> None:
    patches = np.array(cells).reshape(16, 16)
    rows = [[run.split("*") for run in line.split(", ")] for line in write_patches(patches, label).split("\n")]
    told = [[name == label for name, count in row for _ in range(int(count))] for row in rows]
    assert told == patches.tolist()
    assert all(first[0] != second[0] for row in rows for first, second in pairwise(row))  # runs are whole


@given(st.tuples(*[st.integers(1, 6)] * 2), st.lists(SHAPES, min_size=1, max_size=3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_patches_are_those_that_are_half_covered(times: tuple[int, int], shapes: list[Shape], hole: bool) -> None:
    height, width = (16 * n for n in times)
    mask = blobs((height, width), shapes, hole)
    half = np.array(
        [[mask[i : i + times[0], j : j + times[1]].mean() >= 0.5 for j in range(0, width, times[1])]
         for i in range(0, height, times[0])]
    )  # fmt: skip
    if half.any():
        np.testing.assert_array_equal(patches_of(mask), half)


def test_a_small_object_is_its_fullest_patch() -> None:
    mask = np.zeros((160, 320), dtype=bool)
    mask[33:36, 47:49] = True  # 3 x 1 pixels of patch column 2, and as much of column 3, of 10 x 20 pixels
    mask[33, 60] = True
    assert np.argwhere(patches_of(mask)).tolist() == [[3, 2]] or np.argwhere(patches_of(mask)).tolist() == [[3, 3]]
    assert not patches_of(np.zeros((20, 20), dtype=bool)).any()


@pytest.mark.parametrize("refine", ["none", "guided", "grabcut"])
def test_labels_are_enlarged_as_masks_of_stamp_are(refine: str) -> None:
    """A box of whole patches stays where it is, on a picture of its shape."""
    mask = np.zeros((160, 240), dtype=bool)
    mask[40:120, 60:180] = True
    picture = Image.fromarray(np.repeat(mask[..., None] * np.uint8(200), 3, axis=2))
    patches = patches_of(mask)
    assert write_patches(patches, "box").split("\n")[:5] == ["others*16"] * 4 + ["others*4, box*8, others*4"]
    assert intersection_over_union(draw_patches(patches, picture, make_refiner(refine)), mask) > 0.97

"""Polygons of masks: against brute force and OpenCV's filling."""

import json
from itertools import pairwise

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes

from benchmarks.baselines.polygons import MOST_CORNERS, fill_polygons, outer_polygons, to_pixels, write_polygons
from stamp.pictures.masks import intersection_over_union
from tests.benchmarks.baselines.blobs import SHAPES, Shape, blobs


def there_and_back(mask: np.ndarray) -> np.ndarray:
    size_hw = mask.shape[0], mask.shape[1]
    return fill_polygons([to_pixels(polygon, size_hw) for polygon in outer_polygons(mask)], size_hw)


@given(st.tuples(*[st.integers(90, 400)] * 2), st.lists(SHAPES, min_size=1, max_size=4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_polygons_keep_the_outer_shape_of_blobs(size_hw: tuple[int, int], shapes: list[Shape], hole: bool) -> None:
    mask = blobs(size_hw, shapes, hole)
    assert intersection_over_union(there_and_back(mask), binary_fill_holes(mask)) >= 0.85
    polygons = outer_polygons(mask)
    assert polygons == sorted(polygons, key=lambda polygon: (polygon[0][1], polygon[0][0]))
    for polygon in polygons:
        assert 3 <= len(polygon) <= MOST_CORNERS
        assert polygon[0] == min(polygon, key=lambda corner: (corner[1], corner[0]))
        doubled_area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise([*polygon, polygon[0]]))
        assert doubled_area >= 0  # y points down: clockwise as seen


@given(st.lists(st.lists(st.tuples(*[st.integers(0, 99)] * 2), min_size=3, max_size=8), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_filled_polygons_are_those_of_opencv(polygons: list[list[tuple[int, int]]]) -> None:
    """Inside alike; on outlines the two draw sloping lines differently, by a pixel."""
    ours = fill_polygons(polygons, (100, 100))
    theirs, outlines = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(theirs, [np.array(polygon)], 1)
        cv2.polylines(outlines, [np.array(polygon)], isClosed=True, color=1, thickness=3)
    assert not ((ours != theirs.astype(bool)) & (outlines == 0)).any()
    assert json.loads(f"[{write_polygons(polygons)}]") == [[[x, y] for x, y in polygon] for polygon in polygons]


def test_boxes_come_back_to_the_pixel() -> None:
    """In a picture of 100 x 100 pixels each step is a pixel."""
    mask = np.zeros((100, 100), dtype=bool)
    mask[10:31, 40:71] = True
    mask[60:100, 0:20] = True
    text = write_polygons(outer_polygons(mask))
    assert text == "[[40, 10], [70, 10], [70, 30], [40, 30]], [[0, 60], [19, 60], [19, 99], [0, 99]]"
    np.testing.assert_array_equal(there_and_back(mask), mask)


def test_steps_are_shares_of_the_way_from_the_first_to_the_last_pixel() -> None:
    size_hw = 3, 199
    assert outer_polygons(np.ones(size_hw, dtype=bool)) == [[(0, 0), (99, 0), (99, 99), (0, 99)]]
    drawn = fill_polygons([to_pixels([(25, 0), (50, 0), (50, 50), (25, 50)], size_hw)], size_hw)
    np.testing.assert_array_equal(np.argwhere(drawn)[[0, -1]], [[0, 50], [1, 100]])  # rint(0.5 * 2) = 1


def test_small_and_thin_parts() -> None:
    mask = np.zeros((200, 200), dtype=bool)
    mask[100, 100] = True
    assert there_and_back(mask).any()
    mask[20:60, 20:60] = True
    assert len(outer_polygons(mask)) == 1
    assert outer_polygons(np.zeros((50, 50), dtype=bool)) == []
    line = np.zeros((200, 200), dtype=bool)
    line[8, 20:120] = True
    np.testing.assert_array_equal(there_and_back(line), line)

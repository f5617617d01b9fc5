"""Masks as text and back: against brute force, OpenCV's filling and hand-made answers."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import binary_fill_holes

from benchmarks.baselines.mask_text import MaskText, MaskTextError
from benchmarks.baselines.patches import PatchText, patches_of, read_patches, write_patches
from benchmarks.baselines.polygons import (
    MOST_CORNERS,
    PolygonText,
    fill_polygons,
    outer_polygons,
    read_polygons,
    write_polygons,
)
from stamp.pictures.masks import intersection_over_union
from stamp.refinement import make_refiner

Shape = tuple[float, float, float, float, bool]
#: Centre, half sides, and whether it is a box.
SHAPES = st.tuples(*[st.floats(0.15, 0.85)] * 2, *[st.floats(0.1, 0.3)] * 2, st.booleans())
ROW = "others*5, crab*3, others*8"
GRID_TEXT = "\n".join([ROW] * 16)


def blobs(size_hw: tuple[int, int], shapes: Sequence[Shape], hole: bool) -> np.ndarray:
    """Ellipses and boxes, given as shares of the sides, by formula; with `hole`, the middle of the first is out."""
    y, x = np.indices(size_hw) / np.array(size_hw)[:, None, None]
    mask = np.zeros(size_hw, dtype=bool)
    for cx, cy, rx, ry, is_box in shapes:
        u, v = np.abs(x - cx) / rx, np.abs(y - cy) / ry
        mask |= (np.maximum(u, v) if is_box else np.hypot(u, v)) <= 1
    if hole:
        cx, cy, rx, ry, _ = shapes[0]
        mask &= np.hypot((x - cx) / rx, (y - cy) / ry) > 0.5
    return np.asarray(mask)


def blank(mask: np.ndarray) -> Image.Image:
    return Image.new("RGB", mask.shape[::-1])


# -- polygons ------------------------------------------------------------------------------------------------------


@given(st.tuples(*[st.integers(90, 400)] * 2), st.lists(SHAPES, min_size=1, max_size=4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_polygons_keep_the_outer_shape_of_blobs(size_hw: tuple[int, int], shapes: list[Shape], hole: bool) -> None:
    mask = blobs(size_hw, shapes, hole)
    text = PolygonText().write(mask, "anything")
    drawn = PolygonText().draw(text, blank(mask))
    assert intersection_over_union(drawn, binary_fill_holes(mask)) >= 0.85
    polygons = read_polygons(text)
    assert polygons == outer_polygons(mask)
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
    assert read_polygons(write_polygons(polygons)) == polygons


def test_boxes_come_back_to_the_pixel() -> None:
    """In a picture of 100 x 100 pixels each step is a pixel."""
    mask = np.zeros((100, 100), dtype=bool)
    mask[10:31, 40:71] = True
    mask[60:100, 0:20] = True
    text = PolygonText().write(mask, "box")
    assert text == "[[40, 10], [70, 10], [70, 30], [40, 30]], [[0, 60], [19, 60], [19, 99], [0, 99]]"
    np.testing.assert_array_equal(PolygonText().draw(text, blank(mask)), mask)


def test_steps_are_shares_of_the_way_from_the_first_to_the_last_pixel() -> None:
    mask = np.ones((3, 199), dtype=bool)
    assert outer_polygons(mask) == [[(0, 0), (99, 0), (99, 99), (0, 99)]]
    drawn = PolygonText().draw("[[25, 0], [50, 0], [50, 50], [25, 50]]", blank(mask))
    np.testing.assert_array_equal(np.argwhere(drawn)[[0, -1]], [[0, 50], [1, 100]])  # rint(0.5 * 2) = 1


def test_small_and_thin_parts() -> None:
    mask = np.zeros((200, 200), dtype=bool)
    mask[100, 100] = True
    assert PolygonText().draw(PolygonText().write(mask, "dot"), blank(mask)).any()
    mask[20:60, 20:60] = True
    assert len(outer_polygons(mask)) == 1
    assert outer_polygons(np.zeros((50, 50), dtype=bool)) == []
    line = np.zeros((200, 200), dtype=bool)
    line[8, 20:120] = True
    np.testing.assert_array_equal(PolygonText().draw(PolygonText().write(line, "line"), blank(line)), line)


@pytest.mark.parametrize(
    "text",
    [
        "[[1, 2], [3, 4]]",
        "[[1, 2], [3, 4], [5]]",
        "[[1, 2], [3, 4], [5, 6, 7]]",
        "[[1, 2], [3, 4], [5, 100]]",
        "[[1, 2], [3, 4], [5, -6]]",
        "[[1, 2], [3, 4], [5, 6.5]]",
        "[[1, 2], [3, 4], [5, 6]",
        "[1, 2], [3, 4], [5, 6]",
        "[[1, 2], [3, 4], [5, 06]]",
        "[[[1, 2], [3, 4], [5, 6]]]",
        "[[1 2], [3, 4], [5, 6]]",
        "[" * 2000,
        "[[1, 2], [3, 4], [5, " + "9" * 5000 + "]]",
        "",
    ],
)
def test_what_is_no_polygon(text: str) -> None:
    with pytest.raises(MaskTextError):
        read_polygons(text)


def test_blanks_do_not_matter() -> None:
    assert read_polygons("[[1,2],[3,4],\n [5, 6] ]") == [[(1, 2), (3, 4), (5, 6)]]


# -- patches -------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.booleans(), min_size=256, max_size=256), st.sampled_from(["crab", "ice cream", "musical instruments"])
)
@settings(max_examples=60, deadline=None)
def test_patches_come_back_exactly(cells: list[bool], label: str) -> None:
    patches = np.array(cells).reshape(16, 16)
    text = write_patches(patches, label)
    np.testing.assert_array_equal(read_patches(text), patches)
    rows = [[run.split("*") for run in line.split(", ")] for line in text.split("\n")]
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
        text = PatchText().write(mask, "crab")
        np.testing.assert_array_equal(read_patches(text), half)


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
    form = PatchText(make_refiner(refine))
    text = form.write(mask, "box")
    assert text.split("\n")[:5] == ["others*16"] * 4 + ["others*4, box*8, others*4"]
    assert intersection_over_union(form.draw(text, picture), mask) > 0.97


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join([ROW] * 15), "expected 16 rows of patches, got 15"),
        ("\n".join([ROW] * 17), "expected 16 rows of patches, got 17"),
        (GRID_TEXT + ", crab*1", "row 16: expected 16 patches, got 17"),
        (GRID_TEXT.replace("*5", "*4", 1), "row 1: expected 16 patches, got 15"),
        (GRID_TEXT.replace("*8", "*", 1), "row 1: not a run"),
        (GRID_TEXT.replace("others*5", "*5", 1), "row 1: not a run"),
        (GRID_TEXT.replace("crab*3, ", "", 2), "row 1: expected 16 patches, got 13"),
        ("", "expected 16 rows"),
    ],
)
def test_what_is_no_grid(text: str, message: str) -> None:
    with pytest.raises(MaskTextError, match=message):
        read_patches(text)


def test_a_misspelt_label_is_still_the_object() -> None:
    columns = np.tile(np.arange(16), (16, 1))
    expected = (columns >= 5) & (columns < 8)
    np.testing.assert_array_equal(read_patches(GRID_TEXT.replace("crab*3", "crad * 3", 4)), expected)


# -- in an answer --------------------------------------------------------------------------------------------------

BOX, TRIANGLE = "[[1, 2], [30, 2], [30, 40]]", "[[5, 5], [9, 5], [9, 9]], [[50, 5], [59, 5], [59, 9]]"


@pytest.mark.parametrize(
    ("form", "masks"),
    [(PolygonText(), (BOX, TRIANGLE)), (PatchText(), (GRID_TEXT, GRID_TEXT.replace("crab", "ice cream")))],
)
def test_masks_are_found_among_words(form: MaskText, masks: tuple[str, str]) -> None:
    parts = ["Sure, here are the masks for 'crab': ", masks[0], ", 'ice cream': ", masks[1], " and 'boat': ", masks[0]]
    pieces = list(form.pieces("".join(parts)))
    assert [piece.text for piece in pieces] == parts
    assert [piece.is_mask for piece in pieces] == [False, True] * 3
    assert [piece.start for piece in pieces] == [sum(map(len, parts[:n])) for n in range(6)]


@pytest.mark.parametrize("form", [PolygonText(), PatchText()])
def test_plain_words_hold_no_mask(form: MaskText) -> None:
    for words in ("There is no crab in the image.", "I see a crab, two boats and an ice cream.", ""):
        assert [piece.is_mask for piece in form.pieces(words)] == [False] * bool(words)


@given(st.text(alphabet="[]0123456789, *\nabc'.:-é", max_size=80))
@settings(max_examples=200, deadline=None)
def test_pieces_make_the_answer(answer: str) -> None:
    for form in (PolygonText(), PatchText()):
        pieces = list(form.pieces(answer))
        assert "".join(piece.text for piece in pieces) == answer
        if form.name == "polygon":
            assert not any("[" in piece.text for piece in pieces if not piece.is_mask)


def test_a_damaged_mask_is_found_and_cannot_be_read() -> None:
    for form, text in ((PolygonText(), "[[1, 2], [3, 4], [5, 6"), (PatchText(), "others*16\nothers*")):
        (words, piece) = form.pieces(f"Here: {text}")
        assert (words.text, piece.text) == ("Here: ", text)
        with pytest.raises(MaskTextError):
            form.draw(piece.text, Image.new("RGB", (20, 20)))

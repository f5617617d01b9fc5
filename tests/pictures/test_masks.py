"""Mask geometry, against loops over single pixels and against pycocotools."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco

from stamp.pictures.masks import (
    MAX_POLYGONS,
    Mask,
    bounding_box_xywh,
    coverage_grid,
    decode_rle,
    encode_rle,
    intersection_over_union,
    mask_polygons,
    mask_record,
    mask_score,
    save_mask_png,
)

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
masks = sizes.flatmap(lambda size: hnp.arrays(bool, size))
pairs = sizes.flatmap(lambda size: st.tuples(hnp.arrays(bool, size), hnp.arrays(bool, size)))


def drawn(*rows: str) -> Mask:
    return np.array([[character == "#" for character in row] for row in rows])


@given(masks)
def test_rle_is_what_pycocotools_reads_and_returns(mask: Mask) -> None:
    rle = encode_rle(mask)
    assert rle["size"] == list(mask.shape)
    np.testing.assert_array_equal(coco.decode(json.loads(json.dumps(rle))), mask)
    decoded = decode_rle(rle)
    assert decoded.dtype == np.bool_
    np.testing.assert_array_equal(decoded, mask)


def test_rle_by_hand() -> None:
    # Column by column: 1 out, 1 in, 2 out, 2 in. Each character is 48 + count, counts above 2 as differences.
    assert encode_rle(drawn(".. #".replace(" ", ""), "#.#")) == {"size": [2, 3], "counts": "1121"}


@pytest.mark.parametrize("counts", ["", "1", "0", "04 ", "\x00", "é", "00000", "o", "PPYo0" * 3])
def test_runs_that_do_not_fill_the_mask_are_refused(counts: str) -> None:
    with pytest.raises(ValueError, match=r"runs in counts|Invalid RLE"):
        decode_rle({"size": [2, 3], "counts": counts})


@pytest.mark.parametrize("size", [[2], [2, 3, 1], [0, 3], [-2, 3], [2.0, 3], ["2", "3"]])
def test_sizes_that_are_not_sizes(size: list[int]) -> None:
    with pytest.raises(ValueError, match="size must be two positive integers"):
        decode_rle({"size": size, "counts": "06"})


def test_counts_must_be_text() -> None:
    with pytest.raises(TypeError, match="counts must be a compressed string, got list"):
        decode_rle({"size": [2, 3], "counts": [0, 6]})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        (drawn("...", "..."), [0, 0, 0, 0]),
        (drawn("###", "###"), [0, 0, 3, 2]),
        (drawn("....", "..#.", "...."), [2, 1, 1, 1]),
        (drawn("#...", "....", "..#."), [0, 0, 3, 3]),
        (drawn("....", ".###"), [1, 1, 3, 1]),
    ],
)
def test_bounding_box(mask: Mask, box: list[int]) -> None:
    assert bounding_box_xywh(mask) == box
    assert all(type(side) is int for side in bounding_box_xywh(mask))


@given(masks)
def test_bounding_box_agrees_with_pycocotools(mask: Mask) -> None:
    assert bounding_box_xywh(mask) == coco.toBbox(coco.encode(np.asfortranarray(mask, np.uint8))).tolist()


@given(pairs)
def test_intersection_over_union_by_counting(pair: tuple[Mask, Mask]) -> None:
    a, b = pair
    both = sum(bool(x and y) for x, y in zip(a.flat, b.flat, strict=True))
    either = sum(bool(x or y) for x, y in zip(a.flat, b.flat, strict=True))
    assert intersection_over_union(a, b) == (both / either if either else 1.0)


def test_score_is_the_mean_sigmoid_inside() -> None:
    logits = np.array([[0.0, 100.0], [-100.0, np.log(3)]], np.float32)
    assert mask_score(logits, drawn("#.", ".#")) == pytest.approx((0.5 + 0.75) / 2)
    assert mask_score(logits, drawn(".#", "..")) == 1.0
    assert mask_score(logits, drawn("..", "..")) is None


def test_png_is_8_bit_0_and_255(tmp_path: Path) -> None:
    save_mask_png(drawn("#..", ".#."), tmp_path / "mask.png")
    image = Image.open(tmp_path / "mask.png")
    assert (image.mode, image.format) == ("L", "PNG")
    assert np.asarray(image).tolist() == [[255, 0, 0], [0, 255, 0]]


@pytest.mark.parametrize("score", [None, 0.0, 0.75, 1.0])
def test_record_is_json(score: float | None) -> None:
    record = mask_record(drawn("..#", "#.#"), score)
    assert json.loads(json.dumps(record)) == {
        "rle": {"size": [2, 3], "counts": "1121"},
        "polygons": [[2, 0, 2, 2, 3, 2, 3, 0], [0, 1, 0, 2, 1, 2, 1, 1]],
        "area_px": 3,
        "bbox_xywh": [0, 0, 3, 2],
        "score": score,
    }


@pytest.mark.parametrize("score", [float("nan"), -0.1, 1.1, float("inf")])
def test_record_refuses_impossible_scores(score: float) -> None:
    with pytest.raises(ValueError, match="score must be within"):
        mask_record(drawn("#"), score)


@given(masks, sizes)
def test_coverage_is_exact_for_all_sizes(mask: Mask, grid_hw: tuple[int, int]) -> None:
    height, width = mask.shape
    expected = np.zeros(grid_hw)
    for row, column in np.ndindex(*grid_hw):  # each pixel cut in gh * gw equal parts, each part in one cell
        parts = 0
        for part_y in range(row * height, (row + 1) * height):
            for part_x in range(column * width, (column + 1) * width):
                parts += int(mask[part_y // grid_hw[0], part_x // grid_hw[1]])
        expected[row, column] = Fraction(parts, height * width)
    grid = coverage_grid(mask, grid_hw)
    assert grid.dtype == np.float32
    assert 0 <= grid.min() <= grid.max() <= 1
    np.testing.assert_allclose(grid, expected, atol=1e-7)


def test_coverage_of_a_full_mask_is_exactly_one() -> None:
    assert (coverage_grid(np.ones((480, 641), bool), (24, 31)) == 1).all()


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.ones((2, 2), np.uint8), TypeError, "boolean numpy array, got uint8"),
        (np.ones((2, 2)), TypeError, "boolean numpy array, got float64"),
        ([[True]], TypeError, "boolean numpy array, got list"),
        (np.ones((1, 2, 2), bool), ValueError, r"\(height, width\), both at least 1, got \(1, 2, 2\)"),
        (np.ones((0, 2), bool), ValueError, r"got \(0, 2\)"),
    ],
)
def test_what_is_not_a_mask(mask: Mask, error: type[Exception], message: str, tmp_path: Path) -> None:
    for call in (
        lambda: encode_rle(mask),
        lambda: bounding_box_xywh(mask),
        lambda: mask_score(np.zeros((2, 2)), mask),
        lambda: intersection_over_union(mask, mask),
        lambda: save_mask_png(mask, tmp_path / "mask.png"),
        lambda: mask_record(mask, None),
        lambda: coverage_grid(mask, (1, 1)),
    ):
        with pytest.raises(error, match=message):
            call()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 2\) and \(2, 1\)"):
        intersection_over_union(np.ones((1, 2), bool), np.ones((2, 1), bool))
    with pytest.raises(ValueError, match=r"got \(1, 2\) and \(2, 1\)"):
        mask_score(np.zeros((1, 2)), np.ones((2, 1), bool))
    with pytest.raises(ValueError, match="grid_hw must be at least"):
        coverage_grid(np.ones((2, 2), bool), (0, 1))


@pytest.mark.parametrize(
    ("rows", "polygons"),
    [
        (("....", ".##.", ".##."), [[1, 1, 1, 3, 3, 3, 3, 1]]),
        (("...#", "#...", "#..#"), [[0, 1, 0, 3, 1, 3, 1, 1], [3, 2, 3, 3, 4, 3, 4, 2], [3, 0, 3, 1, 4, 1, 4, 0]]),
        (("###", "#.#", "###"), [[0, 0, 0, 3, 3, 3, 3, 0]]),
        (("...",), []),
    ],
)
def test_polygons_run_along_the_edges_of_pixels(rows: tuple[str, ...], polygons: list[list[int]]) -> None:
    """Holes are filled; the largest comes first."""
    assert mask_polygons(drawn(*rows)) == polygons


@pytest.mark.parametrize("seed", range(6))
def test_polygons_drawn_by_pycocotools_are_the_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:90, :120]
    circles = [(rng.integers(90), rng.integers(120), rng.integers(6, 30)) for _ in range(3)]
    mask = np.any([(y - a) ** 2 + (x - b) ** 2 < r**2 for a, b, r in circles], axis=0)
    polygons = mask_polygons(mask)
    redrawn = coco.decode(coco.merge(coco.frPyObjects(polygons, 90, 120))).astype(bool)
    assert intersection_over_union(redrawn, mask) > 0.95
    assert sum(map(len, polygons)) < 300


def test_a_mask_of_crumbs_has_a_bounded_number_of_polygons() -> None:
    mask = np.zeros((60, 60), dtype=bool)
    mask[::2, ::2] = True
    assert len(mask_polygons(mask)) == MAX_POLYGONS

"""Geometry of boolean masks: run-length codes, boxes, overlap, scores, coverage of a patch grid.

A mask is a boolean array of shape (height, width) in the pixels of the original image, True on the object.
"""

from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from stamp.pictures.images import MOST_PIXELS

Mask = NDArray[np.bool_]

#: How far outlines may be from the edge of a mask, and how many polygons of it there are at most.
DEVIATION_PX = 0.75
MAX_POLYGONS = 100
#: Rows whose logits are scored at once: a picture may have 40 million pixels.
SCORED_ROWS = 256


class Rle(TypedDict):
    """COCO compressed run-length code; `size` is [height, width]."""

    size: list[int]
    counts: str


class MaskRecord(TypedDict):
    """One mask as JSON. `score` is null where it is unknown; the box is [x, y, width, height] in pixels.

    rle: exact. polygons: see `mask_polygons`.
    """

    rle: Rle
    polygons: list[list[int]]
    area_px: int
    bbox_xywh: list[int]
    score: float | None


def encode_rle(mask: Mask) -> Rle:
    """COCO compressed run-length code of a boolean (h, w) mask. Raises: TypeError, ValueError."""
    _check_mask(mask)
    code = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def decode_rle(rle: Rle) -> Mask:
    """Boolean (h, w) mask of a COCO compressed run-length code.

    Raises: TypeError when counts is not a string, ValueError when the runs do not fill the size exactly, or when the
    size is beyond that of any accepted picture.
    """
    size, counts = rle["size"], rle["counts"]
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"size must be two positive integers [height, width], got {size}")
    if not isinstance(counts, str):
        raise TypeError(f"counts must be a compressed string, got {type(counts).__name__}")
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"a mask of {size[0]:,} x {size[1]:,} pixels is larger than any picture that is accepted")
    mask: Mask = coco.decode({"size": list(size), "counts": counts}).astype(bool)
    if encode_rle(mask)["counts"] != counts:  # pycocotools leaves memory unset where the runs end early
        raise ValueError(f"the runs in counts do not fill a mask of {size[0]} x {size[1]} pixels")
    return mask


def bounding_box_xywh(mask: Mask) -> list[int]:
    """[x, y, width, height] of the smallest box around the mask, in pixels; zeros when it is empty."""
    _check_mask(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return [0, 0, 0, 0]
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]


def outlines(mask: Mask, *, with_holes: bool) -> list[NDArray[np.int32]]:
    """The outlines of a boolean (h, w) mask, each (n, 2) corners (x, y), the one with the largest area first.

    Corners lie on the edges of pixels, 0..w and 0..h; outlines are at most DEVIATION_PX off.
    """
    import cv2

    left, top, width, height = bounding_box_xywh(mask)
    twice = mask[top : top + height, left : left + width].astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    if not twice.size:
        return []
    mode = cv2.RETR_CCOMP if with_holes else cv2.RETR_EXTERNAL
    # In twice the size the outermost pixels are even on one side and odd on the other: that tells the edges apart.
    lines = [(line + 1) // 2 for line in cv2.findContours(twice, mode, cv2.CHAIN_APPROX_SIMPLE)[0]]
    found = []
    for line in sorted(lines, key=cv2.contourArea, reverse=True):
        simple = cv2.approxPolyDP(line, DEVIATION_PX, closed=True)
        corners = simple if len(simple) > 2 else line
        found.append(np.asarray(corners[:, 0] + (left, top), np.int32))
    return found


def mask_polygons(mask: Mask) -> list[list[int]]:
    """Outer outlines of a boolean (h, w) mask as COCO's polygons: [x, y, x, y, ...] each, the largest first.

    Holes are filled, and of more than MAX_POLYGONS parts the smallest are left out: the run-length code is exact, this
    is not.
    """
    return [[int(value) for value in corners.ravel()] for corners in outlines(mask, with_holes=False)[:MAX_POLYGONS]]


def mask_score(logits_hw: NDArray[np.floating], mask: Mask) -> float | None:
    """Mean sigmoid, 0..1, of the (h, w) logits inside the (h, w) mask; None when the mask is empty.

    Raises: ValueError when the shapes differ.
    """
    _check_mask(mask)
    _check_same_shape(logits_hw.shape, mask.shape)
    if not (area := np.count_nonzero(mask)):
        return None
    blocks = [slice(top, top + SCORED_ROWS) for top in range(0, len(mask), SCORED_ROWS)]
    inside = (logits_hw[rows][mask[rows]].astype(np.float64) for rows in blocks)
    total = sum(np.tanh(0.5 * values).sum() for values in inside)  # of twice the sigmoid, less one; never overflows
    return float(0.5 + 0.5 * total / area)


def intersection_over_union(a: Mask, b: Mask) -> float:
    """Intersection over union of two (h, w) masks, 0..1; two empty masks agree: 1.0. Raises: ValueError."""
    _check_mask(a)
    _check_mask(b)
    _check_same_shape(a.shape, b.shape)
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def mask_image(mask: Mask) -> Image.Image:
    """An 8-bit grey picture of a boolean (h, w) mask: 255 inside it, 0 outside."""
    return Image.fromarray(mask.astype(np.uint8) * 255)


def save_mask_png(mask: Mask, path: str | Path) -> None:
    """Write an 8-bit grey PNG: 255 inside the mask, 0 outside."""
    _check_mask(mask)
    mask_image(mask).save(path, format="PNG")


def mask_record(mask: Mask, score: float | None) -> MaskRecord:
    """The mask as a JSON-ready record. Raises: ValueError when the score is neither None nor within 0..1."""
    _check_mask(mask)
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"score must be within 0..1, or None when unknown, got {score}")
    return {
        "rle": encode_rle(mask),
        "polygons": mask_polygons(mask),
        "area_px": int(np.count_nonzero(mask)),
        "bbox_xywh": bounding_box_xywh(mask),
        "score": None if score is None else float(score),
    }


def coverage_grid(mask: Mask, grid_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Share of each cell of a (gh, gw) grid that an (h, w) mask covers: float32 (gh, gw), 0..1.

    The grid spans the whole mask; a pixel across a border counts in each cell by its overlap, so the average
    is exact for every pair of sizes (`interpolate(mode="area")` is so only where they divide).
    """
    _check_mask(mask)
    if min(grid_hw) < 1:
        raise ValueError(f"grid_hw must be at least (1, 1), got {grid_hw}")
    rows, columns = _overlaps(mask.shape[0], grid_hw[0]), _overlaps(mask.shape[1], grid_hw[1])
    cell_area_px = (mask.shape[0] / grid_hw[0]) * (mask.shape[1] / grid_hw[1])
    grid: NDArray[np.float32] = (rows @ mask @ columns.T / cell_area_px).astype(np.float32)
    return grid


def _overlaps(pixels: int, cells: int) -> NDArray[np.float64]:
    """(cells, pixels): the length, in pixels, that each cell shares with each pixel along one axis."""
    borders = np.arange(cells + 1)[:, None] * (pixels / cells)
    starts = np.arange(pixels)[None, :]
    shared = np.minimum(borders[1:], starts + 1) - np.maximum(borders[:-1], starts)
    lengths: NDArray[np.float64] = np.maximum(shared, 0.0)
    return lengths


def _check_mask(mask: Mask) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        raise TypeError(f"a mask must be a boolean numpy array, got {getattr(mask, 'dtype', type(mask).__name__)}")
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"a mask must have shape (height, width), both at least 1, got {mask.shape}")


def _check_same_shape(actual: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if actual != expected:
        raise ValueError(f"shapes must be equal, got {actual} and {expected}")

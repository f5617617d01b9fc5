"""Masks as polygons: the outer contours with few corners, whose x and y are steps; and their plain text.

After SimpleSeg (arXiv 2601.19228), which writes x and y as decimals from 0 to 1. Step 0 is the centre of the first
column or row of pixels, the last step the centre of the last; other centres are rounded to the nearest step. A polygon
contains its outline. Holes are not written.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from stamp.pictures.masks import Mask

#: Of the plain text: at most two digits, so that a corner takes half the tokens of decimals.
LAST_STEP = 99
MOST_CORNERS = 24
#: Parts of a mask below this share of the picture are left out, unless there is no larger one.
LEAST_AREA_SHARE = 0.002
#: A contour may deviate by half a coordinate step at first; each new try multiplies that by this factor.
COARSER = 1.1

Polygon = list[tuple[int, int]]


def write_polygons(polygons: Sequence[Polygon]) -> str:
    """Plain text, only to count its tokens: `[[12, 34], [56, 78], ...], ...`, one list per contour."""
    return ", ".join(str([[x, y] for x, y in polygon]) for polygon in polygons)


def to_steps(corners_px: np.ndarray, size_hw: tuple[int, int], last_step: int = LAST_STEP) -> Polygon:
    """(n, 2) x, y of pixels, whole numbers at their centres -> steps 0..last_step."""
    last_px = np.maximum(size_hw[::-1], 2) - 1
    return [(int(x), int(y)) for x, y in np.rint(corners_px * last_step / last_px)]


def to_pixels(polygon: Polygon, size_hw: tuple[int, int], last_step: int = LAST_STEP) -> Polygon:
    """Steps 0..last_step -> x, y of the nearest pixels."""
    last_px = np.array(size_hw[::-1]) - 1
    return [(int(x), int(y)) for x, y in np.rint(np.array(polygon) * last_px / last_step)]


def fill_polygons(polygons: Sequence[Polygon], size_hw: tuple[int, int]) -> Mask:
    """The union of polygons in pixels, outlines included: bool (h, w). One that crosses itself is filled even-odd."""
    canvas = Image.new("1", size_hw[::-1])
    pen = ImageDraw.Draw(canvas)
    for polygon in polygons:
        pen.polygon(polygon, fill=1, outline=1)
    return np.array(canvas, dtype=bool)


def outer_polygons(mask: Mask, last_step: int = LAST_STEP) -> list[Polygon]:
    """Polygons of the outer contours of an (h, w) mask, in steps 0..last_step; none for an empty mask.

    Each runs clockwise on screen from its topmost, then leftmost corner, and has at most 24 corners; polygons are
    sorted by their first corners. Douglas-Peucker, as coarse as necessary. A part too thin for three corners is
    written as its box.
    """
    import cv2  # only for training

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    least = LEAST_AREA_SHARE * mask.size
    kept = [contour for contour in found if cv2.contourArea(contour) >= least]
    if found and not kept:
        kept = [max(found, key=lambda contour: (cv2.contourArea(contour), len(contour)))]
    polygons = [_from_the_top(_simplify(contour, mask.shape, last_step)) for contour in kept]
    return sorted(polygons, key=lambda polygon: polygon[0][::-1])


def _simplify(contour: np.ndarray, size_hw: tuple[int, int], last_step: int) -> Polygon:
    import cv2

    deviation_px = max(size_hw) / last_step / 2
    while True:
        steps = to_steps(cv2.approxPolyDP(contour, deviation_px, closed=True)[:, 0], size_hw, last_step)
        corners = [step for step, before in zip(steps, [steps[-1], *steps[:-1]], strict=True) if step != before]
        if len(set(corners)) < 3:
            left, top, width, height = cv2.boundingRect(contour)
            right, bottom = left + width - 1, top + height - 1
            box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
            return to_steps(box, size_hw, last_step)
        if len(corners) <= MOST_CORNERS:
            return corners
        deviation_px *= COARSER


def _from_the_top(polygon: Polygon) -> Polygon:
    x, y = np.array(polygon).T
    if np.dot(x, np.roll(y, -1)) < np.dot(y, np.roll(x, -1)):  # y points down: a positive area is clockwise
        polygon = polygon[::-1]
    first = min(range(len(polygon)), key=lambda corner: polygon[corner][::-1])
    return polygon[first:] + polygon[:first]

"""From a mask to the polygons that a model learns to write. OpenCV is needed for training alone."""

import cv2
import numpy as np

from benchmarks.baselines.polygons import LAST_STEP, Polygon, to_steps
from stamp.pictures.masks import Mask

MOST_CORNERS = 24
#: Smaller parts of a mask, as a share of the picture, are left out, unless there is no larger one.
LEAST_AREA_SHARE = 0.002
#: A contour may deviate by half a step of the coordinates from the start, and by so much more in each further try.
COARSER = 1.1


def outer_polygons(mask: Mask) -> list[Polygon]:
    """Polygons of the outer contours of an (h, w) mask, in steps of `polygons`; none for an empty mask.

    Each goes clockwise, as seen, from its topmost, then leftmost corner and has at most 24 corners; they are in the
    order of these first corners. Douglas-Peucker, as coarse as it must be. A part too thin to have three corners is
    written as its box.
    """
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    least = LEAST_AREA_SHARE * mask.size
    kept = [contour for contour in found if cv2.contourArea(contour) >= least]
    if found and not kept:
        kept = [max(found, key=lambda contour: (cv2.contourArea(contour), len(contour)))]
    polygons = [_from_the_top(_simplify(contour, mask.shape)) for contour in kept]
    return sorted(polygons, key=lambda polygon: polygon[0][::-1])


def _simplify(contour: np.ndarray, size_hw: tuple[int, int]) -> Polygon:
    deviation_px = max(size_hw) / LAST_STEP / 2
    while True:
        steps = to_steps(cv2.approxPolyDP(contour, deviation_px, closed=True)[:, 0], size_hw)
        corners = [step for step, before in zip(steps, [steps[-1], *steps[:-1]], strict=True) if step != before]
        if len(set(corners)) < 3:
            left, top, width, height = cv2.boundingRect(contour)
            right, bottom = left + width - 1, top + height - 1
            return to_steps(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), size_hw)
        if len(corners) <= MOST_CORNERS:
            return corners
        deviation_px *= COARSER


def _from_the_top(polygon: Polygon) -> Polygon:
    x, y = np.array(polygon).T
    if np.dot(x, np.roll(y, -1)) < np.dot(y, np.roll(x, -1)):  # y points down: a positive area is clockwise
        polygon = polygon[::-1]
    first = min(range(len(polygon)), key=lambda corner: polygon[corner][::-1])
    return polygon[first:] + polygon[:first]

"""Masks for tests of mask formats: ellipses and boxes by formula."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from PIL import Image

Shape = tuple[float, float, float, float, bool]
#: Centre, half sides, and whether it is a box.
SHAPES = st.tuples(*[st.floats(0.15, 0.85)] * 2, *[st.floats(0.1, 0.3)] * 2, st.booleans())


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
    """A black picture of the mask's size."""
    return Image.new("RGB", mask.shape[::-1])

"""Hand-made scenes."""

import numpy as np

from stamp.training.scenes.scenes import Scene, SceneObject
from tests.training.conftest import NOUN


def scene_of(*objects: tuple[str, tuple[int, int, int, int]]) -> Scene:
    """A 100 x 80 scene of rectangles: names and boxes (left, top, right, bottom)."""
    labels = np.zeros((80, 100), np.uint8)
    items = []
    for mask_id, (name, box) in enumerate(objects, start=1):
        left, top, right, bottom = box
        labels[top:bottom, left:right] = mask_id
        items.append(SceneObject(NOUN[name], "flat", mask_id, box, (right - left) * (bottom - top)))
    return Scene(np.zeros((80, 100, 3), np.uint8), labels, tuple(items), "procedural", 0)


SCENE = scene_of(("bee", (0, 0, 10, 10)), ("apple", (20, 30, 60, 70)), ("apple", (70, 50, 90, 80)))
BEE, APPLE, SMALL_APPLE = SCENE.objects

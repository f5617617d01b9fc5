"""Facts about a scene: the objects that a phrase can mean, or None if that is ambiguous."""

import math
from collections.abc import Sequence

from stamp.training.scenes.groups import Group
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.scenes import Scene, SceneObject
from stamp.training.talk.exchange import MOST_COUNTED

SIDES = ("left", "right", "top", "bottom")
#: One object is farther left than another only if their places differ by this share of the image.
CLEAR_MARGIN = 0.08
#: How far the middle of the picture extends from its centre to each side, and the doubtful margin around that border.
MIDDLE_REACH, DOUBTFUL_REACH = 0.12, 0.02
#: How many times as large the bigger of two objects must be.
CLEARLY_BIGGER = 1.25
#: An object is the picture's main object if it covers this share of it and is this many times as large as any other.
MAIN_SHARE, MAIN_RATIO = 0.1, 3.0


def objects_by_noun(scene: Scene) -> dict[Noun, tuple[SceneObject, ...]]:
    """The scene's objects by noun; nouns from left to right by their first object."""
    groups: dict[Noun, tuple[SceneObject, ...]] = {}
    for item in sorted(scene.objects, key=lambda item: item.box_xyxy[0] + item.box_xyxy[2]):
        groups[item.noun] = (*groups.get(item.noun, ()), item)
    return groups


def everything(scene: Scene) -> tuple[SceneObject, ...]:
    """All objects; () if some may be unmarked."""
    return () if scene.unmarked else scene.objects


def members(scene: Scene, group: Group) -> tuple[SceneObject, ...] | None:
    """The objects of a group, from left to right; None if one is doubtful or unmarked, or if there are many."""
    if any(item.noun in group.doubtful for item in scene.objects) or not scene.unmarked.isdisjoint(group.nouns):
        return None
    found = [item for item in scene.objects if item.noun in group]
    if len(found) > MOST_COUNTED:
        return None
    return tuple(sorted(found, key=lambda item: item.box_xyxy[0] + item.box_xyxy[2]))


def place(scene: Scene, item: SceneObject) -> tuple[float, float]:
    """Centre (x, y) of the box as shares of the image's width and height."""
    height, width = scene.labels.shape
    x1, y1, x2, y2 = item.box_xyxy
    return (x1 + x2) / 2 / width, (y1 + y2) / 2 / height


def toward(scene: Scene, item: SceneObject, side: str) -> float:
    """How far an object lies to a side, as a share of the image; larger is farther."""
    x, y = place(scene, item)
    return {"left": -x, "right": x, "top": -y, "bottom": y}[side]


def clear_extreme(scene: Scene, side: str, among: Sequence[SceneObject] | None = None) -> SceneObject | None:
    """The object farthest to a side by its box centre, or None if that is not clear."""
    items = everything(scene) if among is None else among
    if len(items) < 2:
        return None
    first, second, *_ = sorted(items, key=lambda item: -toward(scene, item, side))
    return first if toward(scene, first, side) - toward(scene, second, side) >= CLEAR_MARGIN else None


def clear_middle(scene: Scene, among: Sequence[SceneObject]) -> SceneObject | None:
    """The only one of several objects in the middle of the picture; None if another is nearly there."""
    off_centre = [max(abs(value - 0.5) for value in place(scene, item)) for item in among]
    inside = [item for item, offset in zip(among, off_centre, strict=True) if offset <= MIDDLE_REACH]
    doubtful = any(MIDDLE_REACH < offset < MIDDLE_REACH + CLEAR_MARGIN for offset in off_centre)
    return inside[0] if len(inside) == 1 < len(among) and not doubtful else None


def only_beside(scene: Scene, anchor: SceneObject, side: str, among: Sequence[SceneObject]) -> SceneObject | None:
    """The only one of some objects to a side of the anchor; None if there are several, none or a doubtful one."""
    offsets = [(toward(scene, item, side) - toward(scene, anchor, side), item) for item in among if item is not anchor]
    beyond = [item for offset, item in offsets if offset >= CLEAR_MARGIN]
    doubtful = any(0 < offset < CLEAR_MARGIN for offset, _ in offsets)
    return beyond[0] if len(beyond) == 1 and not doubtful else None


def main_object(scene: Scene) -> SceneObject | None:
    """The picture's main object: large, and far larger than any other; None if there is none."""
    first, *others = sorted(scene.objects, key=lambda item: -item.area_px)
    is_large = first.area_px >= MAIN_SHARE * scene.labels.size
    return first if is_large and all(first.area_px >= MAIN_RATIO * other.area_px for other in others) else None


def clear_size(scene: Scene, biggest: bool, among: Sequence[SceneObject] | None = None) -> SceneObject | None:
    """The object with the largest (or smallest) visible area, or None if another is nearly as large (or small)."""
    items = everything(scene) if among is None else among
    if len(items) < 2:
        return None
    first, second, *_ = sorted(items, key=lambda item: -item.area_px if biggest else item.area_px)
    return first if _clearly_apart(first, second) else None


def bigger_of(first: SceneObject, second: SceneObject) -> SceneObject | None:
    """The one with the larger visible area, or None if they are nearly equal."""
    if not _clearly_apart(first, second):
        return None
    return max(first, second, key=lambda item: item.area_px)


def _clearly_apart(first: SceneObject, second: SceneObject) -> bool:
    small, large = sorted((first.area_px, second.area_px))
    return large >= CLEARLY_BIGGER * small


def neighbour(scene: Scene, item: SceneObject, side: str) -> SceneObject | None:
    """The only other object to a side of this one; None if there are several, none or a doubtful one."""
    return only_beside(scene, item, side, everything(scene))


def nearest(scene: Scene, item: SceneObject) -> SceneObject | None:
    """The object with the centre nearest to this one's, or None if another is nearly as near."""
    x, y = place(scene, item)
    height, width = scene.labels.shape

    def distance(other: SceneObject) -> float:
        ox, oy = place(scene, other)
        return float(math.hypot((ox - x) * width, (oy - y) * height) / max(width, height))

    others = sorted((other for other in everything(scene) if other is not item), key=distance)
    if not others or (len(others) > 1 and distance(others[1]) - distance(others[0]) < CLEAR_MARGIN):
        return None
    return others[0]


def sides_of(scene: Scene, item: SceneObject) -> tuple[str, ...] | None:
    """The sides of the picture that an object's centre is on; () in the middle, None if too close to its border."""
    x, y = place(scene, item)
    if any(abs(abs(value - 0.5) - MIDDLE_REACH) < DOUBTFUL_REACH for value in (x, y)):
        return None
    beyond = {"left": 0.5 - x, "right": x - 0.5, "top": 0.5 - y, "bottom": y - 0.5}
    return tuple(side for side in SIDES if beyond[side] > MIDDLE_REACH)

"""What is true of a scene: the objects that a phrase can stand for, or None where a person could doubt it."""

from collections.abc import Sequence

from stamp.training.groups import Group
from stamp.training.nouns import Noun
from stamp.training.scenes import Scene, SceneObject

SIDES = ("left", "right", "top", "bottom")
#: Places of two objects must differ by this share of the image before one is called farther left than the other.
CLEAR_MARGIN = 0.08
#: How far the middle of the picture reaches from its centre to each side, and how near to that is doubtful.
MIDDLE_REACH, DOUBTFUL_REACH = 0.12, 0.02
#: How many times as large an object must be to be called the bigger of two.
CLEARLY_BIGGER = 1.25


def objects_by_noun(scene: Scene) -> dict[Noun, tuple[SceneObject, ...]]:
    """The scene's objects, grouped; nouns from left to right by their first object."""
    groups: dict[Noun, tuple[SceneObject, ...]] = {}
    for item in sorted(scene.objects, key=lambda item: item.box_xyxy[0] + item.box_xyxy[2]):
        groups[item.noun] = (*groups.get(item.noun, ()), item)
    return groups


def members(scene: Scene, group: Group) -> tuple[SceneObject, ...] | None:
    """The objects of a group, from left to right; None where people would not agree about one."""
    if any(item.noun in group.doubtful for item in scene.objects):
        return None
    found = [item for item in scene.objects if item.noun in group]
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
    """The object farthest to a side by its box centre, or None when it is not clearly the one."""
    items = scene.objects if among is None else among
    first, second, *_ = sorted(items, key=lambda item: -toward(scene, item, side))
    return first if toward(scene, first, side) - toward(scene, second, side) >= CLEAR_MARGIN else None


def clear_size(scene: Scene, biggest: bool, among: Sequence[SceneObject] | None = None) -> SceneObject | None:
    """The object with the largest (or smallest) visible area, or None when another is nearly so."""
    items = scene.objects if among is None else among
    first, second, *_ = sorted(items, key=lambda item: -item.area_px if biggest else item.area_px)
    return first if _clearly_apart(first, second) else None


def bigger_of(first: SceneObject, second: SceneObject) -> SceneObject | None:
    """The one with the larger visible area, or None when they are nearly equal."""
    if not _clearly_apart(first, second):
        return None
    return max(first, second, key=lambda item: item.area_px)


def _clearly_apart(first: SceneObject, second: SceneObject) -> bool:
    small, large = sorted((first.area_px, second.area_px))
    return large >= CLEARLY_BIGGER * small


def neighbour(scene: Scene, item: SceneObject, side: str) -> SceneObject | None:
    """The only other object that lies to a side of this one; None when there are several, none, or a doubtful one."""
    offsets = [
        (toward(scene, other, side) - toward(scene, item, side), other) for other in scene.objects if other is not item
    ]
    beyond = [other for offset, other in offsets if offset >= CLEAR_MARGIN]
    doubtful = any(0 < offset < CLEAR_MARGIN for offset, _ in offsets)
    return beyond[0] if len(beyond) == 1 and not doubtful else None


def nearest(scene: Scene, item: SceneObject) -> SceneObject | None:
    """The object whose centre is nearest to this one's, or None when another is nearly as near."""
    x, y = place(scene, item)
    height, width = scene.labels.shape

    def distance(other: SceneObject) -> float:
        ox, oy = place(scene, other)
        return float(((ox - x) * width) ** 2 + ((oy - y) * height) ** 2) ** 0.5 / max(width, height)

    others = sorted((other for other in scene.objects if other is not item), key=distance)
    if len(others) > 1 and distance(others[1]) - distance(others[0]) < CLEAR_MARGIN:
        return None
    return others[0]


def sides_of(scene: Scene, item: SceneObject) -> tuple[str, ...] | None:
    """The sides of the picture that an object's centre lies on; () in the middle, None too near to the border of it."""
    x, y = place(scene, item)
    if any(abs(abs(value - 0.5) - MIDDLE_REACH) < DOUBTFUL_REACH for value in (x, y)):
        return None
    beyond = {"left": 0.5 - x, "right": x - 0.5, "top": 0.5 - y, "bottom": y - 0.5}
    return tuple(side for side in SIDES if beyond[side] > MIDDLE_REACH)

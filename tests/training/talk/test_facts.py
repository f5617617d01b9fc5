"""What is true of a scene, and what is left unsaid because a person could doubt it."""

from stamp.training.talk import facts
from tests.training.conftest import LEXICON
from tests.training.talk.scenes import APPLE, BEE, SCENE, SMALL_APPLE, scene_of


def test_extremes() -> None:
    assert [facts.clear_extreme(SCENE, side) for side in facts.SIDES] == [BEE, SMALL_APPLE, BEE, SMALL_APPLE]
    assert facts.clear_extreme(SCENE, "left", (APPLE, SMALL_APPLE)) is APPLE
    tied = scene_of(("bee", (0, 0, 20, 20)), ("apple", (4, 40, 24, 60)))
    assert facts.clear_extreme(tied, "left") is None
    assert facts.clear_extreme(tied, "top") is tied.objects[0]


def test_sizes() -> None:
    assert facts.clear_size(SCENE, biggest=True) is APPLE
    assert facts.clear_size(SCENE, biggest=False) is BEE
    assert facts.clear_size(SCENE, False, (APPLE, SMALL_APPLE)) is SMALL_APPLE
    equal = scene_of(("bee", (0, 0, 20, 20)), ("apple", (40, 40, 60, 61)))
    assert facts.clear_size(equal, biggest=True) is None
    assert facts.bigger_of(*equal.objects) is None
    assert facts.bigger_of(BEE, APPLE) is APPLE


def test_neighbours() -> None:
    assert facts.neighbour(SCENE, BEE, "right") is None  # two lie there
    assert facts.neighbour(SCENE, APPLE, "left") is BEE
    assert facts.neighbour(SCENE, APPLE, "right") is SMALL_APPLE
    assert facts.neighbour(SCENE, BEE, "left") is None
    doubtful = scene_of(("bee", (0, 0, 20, 20)), ("apple", (4, 40, 24, 60)), ("cat", (60, 10, 80, 30)))
    assert facts.neighbour(doubtful, doubtful.objects[0], "right") is None  # the apple lies a little to the right, too


def test_nearest() -> None:
    assert facts.nearest(SCENE, SMALL_APPLE) is APPLE
    assert facts.nearest(SCENE, BEE) is APPLE
    row = scene_of(("bee", (0, 0, 10, 10)), ("cat", (40, 0, 50, 10)), ("dog", (80, 0, 90, 10)))
    assert facts.nearest(row, row.objects[1]) is None
    assert facts.nearest(row, row.objects[0]) is row.objects[1]


def test_sides_of_the_picture() -> None:
    boxes = {"cat": (0, 0, 20, 20), "dog": (40, 30, 60, 50), "bee": (80, 30, 100, 50), "cow": (36, 60, 40, 80)}
    scene = scene_of(*boxes.items())
    assert [facts.sides_of(scene, item) for item in scene.objects] == [("left", "top"), (), ("right",), None]


def test_groups_of_objects() -> None:
    groups = {group.name: group for group in LEXICON.groups}
    assert facts.members(SCENE, groups["animal"]) == (BEE,)
    assert facts.members(SCENE, groups["fruit"]) == (APPLE, SMALL_APPLE)
    assert facts.members(SCENE, groups["vehicle"]) == ()
    doubtful = scene_of(("apple", (0, 0, 20, 20)), ("tomato", (40, 0, 60, 20)))
    assert facts.members(doubtful, groups["fruit"]) is None
    assert facts.members(doubtful, groups["food"]) == doubtful.objects
    assert {noun.name: len(items) for noun, items in facts.objects_by_noun(SCENE).items()} == {"bee": 1, "apple": 2}

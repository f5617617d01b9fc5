"""What is said must be true of the scene: hand-made scenes, and a property over many composed ones."""

from random import Random

import numpy as np
import pytest

from stamp.training import dialogue
from stamp.training.art import ArtLibrary
from stamp.training.dialogue import SEG_TOKEN, Exchange
from stamp.training.evaluate import Row, is_right, scores
from stamp.training.nouns import NOUN_BY_NAME, NOUNS
from stamp.training.scenes import Scene, SceneConfig, SceneObject, compose_scene
from tests.training.conftest import STYLES


def scene_of(*objects: tuple[str, tuple[int, int, int, int]]) -> Scene:
    """A 100 x 80 scene of rectangles."""
    labels = np.zeros((80, 100), np.uint8)
    items = []
    for mask_id, (name, box) in enumerate(objects, start=1):
        left, top, right, bottom = box
        labels[top:bottom, left:right] = mask_id
        items.append(SceneObject(NOUN_BY_NAME[name], "flat", mask_id, box, (right - left) * (bottom - top)))
    return Scene(np.zeros((80, 100, 3), np.uint8), labels, tuple(items), "procedural", 0)


SCENE = scene_of(("bee", (0, 0, 10, 10)), ("apple", (20, 30, 60, 70)), ("apple", (70, 50, 90, 80)))


def test_extremes() -> None:
    found = [dialogue.clear_extreme(SCENE, side) for side in dialogue.SIDES]
    assert [item and item.mask_id for item in found] == [1, 3, 1, 3]
    biggest = dialogue.clear_biggest(SCENE)
    assert biggest is not None
    assert biggest.mask_id == 2
    tied = scene_of(("bee", (0, 0, 20, 20)), ("apple", (4, 40, 24, 60)))
    assert dialogue.clear_extreme(tied, "left") is None
    assert dialogue.clear_biggest(tied) is None


def test_words() -> None:
    names = [dialogue.with_article(NOUN_BY_NAME[name]) for name in ("apple", "bee", "grapes", "fish")]
    assert names == ["an apple", "a bee", "grapes", "a fish"]
    assert [dialogue.quantity(NOUN_BY_NAME["apple"], n) for n in range(3)] == ["no apples", "one apple", "two apples"]


def test_describe_reads_from_left_to_right() -> None:
    assert dialogue.ask_describe(SCENE, Random(0)).answer == "I see a bee and two apples."


def test_every_exchange_is_true_of_its_scene(library: ArtLibrary) -> None:
    kinds: set[str] = set()
    config = SceneConfig(width=96, height=96, styles=STYLES)
    for seed in range(60):
        scene, rng = compose_scene(seed, library, config), Random(seed)
        counts = {noun: len(items) for noun, items in dialogue.objects_by_noun(scene).items()}
        for makers in (dialogue.MASK_MAKERS, dialogue.TEXT_MAKERS, dialogue.CHECKLIST_MAKERS) * 6:
            exchange = dialogue.draw(makers, scene, rng)
            kinds.add(exchange.kind)
            check(exchange, scene, {noun.name: n for noun, n in counts.items()})
    assert kinds == {
        *("segment", "segment_side", "segment_two", "segment_absent"),
        *("what", "count", "exists", "which", "count_each", "describe", "where", "small_talk"),
    }


def check(exchange: Exchange, scene: Scene, counts: dict[str, int]) -> None:
    assert exchange.answer.count(SEG_TOKEN) == len(exchange.targets)
    assert SEG_TOKEN not in exchange.question
    for quoted, target in zip(exchange.answer.split("'")[1::2], exchange.targets, strict=True):
        nouns = {scene.objects[mask_id - 1].noun for mask_id in target}
        assert len(nouns) == 1
        assert quoted in (nouns.pop().name, scene.objects[target[0] - 1].noun.plural)
        if exchange.kind == "segment":
            assert len(target) == counts[scene.objects[target[0] - 1].noun.name]
    if exchange.accepted:
        assert is_right(exchange, exchange.answer), exchange
    if exchange.kind in ("which", "count_each"):
        items = [item.rsplit(" ", 1) for item in exchange.answer.rstrip(".").split(", ")]
        assert ", ".join(name for name, _ in items) in exchange.question
        in_words = {name: str(counts.get(name, 0)) for name, _ in items}
        if exchange.kind == "which":
            in_words = {name: "no" if count == "0" else "yes" for name, count in in_words.items()}
        assert dict(items) == in_words
        assert set(counts) < {name for name, _ in items}
    if exchange.kind == "segment_absent":
        named = [noun for noun in NOUNS if f" {noun.name} " in exchange.answer]
        assert named
        assert all(noun.name not in counts for noun in named)


@pytest.mark.parametrize(
    ("kind", "question", "accepted", "answer", "right"),
    [
        ("exists", "Is there a bee?", ("yes",), "Yes, there is a bee.", True),
        ("exists", "Is there a bee?", ("yes",), "Yes and no.", False),
        ("exists", "Is there a bee?", ("no",), "There is nothing.", False),
        ("count", "How many apples?", ("two", "2"), "I count 2.", True),
        ("count", "How many apples?", ("two", "2"), "Two or three.", False),
        ("count", "How many apples?", ("two", "2"), "There are two apples.", True),
        ("count", "How many apples?", ("two", "2"), "Twofold.", False),
        ("what", "What is on the left?", ("ice cream", "ice creams"), "An ICE CREAM!", True),
        ("what", "What is on the left?", ("bee", "bees"), "A bee or a bus.", False),
        ("what", "What is left of the bus?", ("bee", "bees"), "A bee, not the bus.", True),
        ("what", "What is on the left?", ("bee", "bees"), "A beer.", False),
    ],
)
def test_the_rule_for_right_answers(
    kind: str, question: str, accepted: tuple[str, ...], answer: str, right: bool
) -> None:
    assert is_right(Exchange(kind, question, "", accepted=accepted), answer) is right


def test_scores_are_means_with_intervals() -> None:
    rows = [Row(0, "panorama", kind, "q", "e", "a", score) for kind, score in (("a", 1.0), ("a", 0.0), ("b", 0.5))]
    assert scores(rows)["a"] == {"mean": 0.5, "low": 0.0, "high": 1.0, "n": 2}
    assert scores(rows)["b"] == {"mean": 0.5, "low": 0.5, "high": 0.5, "n": 1}


def test_typed_questions_keep_their_words() -> None:
    rng = Random(0)
    for _ in range(200):
        typed = dialogue.as_typed("Is there a bee?", rng)
        assert typed.lower().rstrip("?") == "is there a bee"

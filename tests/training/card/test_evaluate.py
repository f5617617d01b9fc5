"""The rule for right answers, what is asked of a scene, and scores from rows."""

from random import Random

import pytest

from stamp.training.card.evaluate import Row, is_answered, noun_request, scores
from stamp.training.scenes.groups import Lexicon
from stamp.training.talk.exchange import Exchange
from tests.training.conftest import LEXICON, NOUN
from tests.training.talk.scenes import scene_of


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
        ("where", "Where is the bee?", ("left", "top"), "The bee is on the left.", True),
        ("where", "Where is the bee?", ("left", "top"), "The bee is on the right and at the top.", False),
        ("where", "Where is the bee?", ("left",), "The bee is in the middle.", False),
        ("exists", "Is there a cab?", ("yes",), "Yes, there is a taxi.", True),
        ("exists", "Is there a cab?", ("yes",), "Yes, there is a bus.", False),
        ("count", "How many buses?", ("one", "1"), "There is one coach.", True),
        ("what", "What is on the left?", ("bee", "bees"), "A bee or a kitten.", False),
        ("what", "What is on the left?", ("light bulb", "light bulbs"), "A light bulb.", True),
        ("unknown", "Segment the gizmo.", ("know",), "I don't know that word.", True),
        ("unknown", "Segment the gizmo.", ("know",), "I don't know that bee.", False),
    ],
)
def test_the_rule_for_right_answers(
    kind: str, question: str, accepted: tuple[str, ...], answer: str, right: bool
) -> None:
    lexicon = Lexicon.of([*LEXICON.nouns, NOUN["light bulb"]])
    assert is_answered(Exchange(kind, question, "", accepted=accepted), answer, lexicon) is right


def test_a_mask_is_asked_for_by_a_noun_that_means_one_thing() -> None:
    scene = scene_of(
        ("car", (0, 0, 20, 20)), ("taxi", (40, 0, 60, 20)), ("bee", (0, 40, 20, 60)), ("bee", (40, 40, 60, 60))
    )
    requests = {noun_request(scene, Random(seed), LEXICON) for seed in range(50)}
    assert {(request.question, request.answer, request.targets) for request in requests if request} == {
        ("segment the taxi", "taxi", ((2,),)),
        ("segment the bees", "bees", ((3, 4),)),
    }
    assert None not in requests


def test_scores_are_means_with_intervals() -> None:
    rows = [Row(0, "panorama", kind, "q", "e", "a", score) for kind, score in (("a", 1.0), ("a", 0.0), ("b", 0.5))]
    assert scores(rows)["a"] == {"mean": 0.5, "low": 0.0, "high": 1.0, "n": 2}
    assert scores(rows)["b"] == {"mean": 0.5, "low": 0.5, "high": 0.5, "n": 1}

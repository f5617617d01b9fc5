"""The rule for right answers, what is asked of a scene, and scores from rows."""

import math
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stamp.training.card.evaluate import Row, evaluate_scene, interval_of_mean, is_answered, noun_request, scores
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


def binomial_quantile(n: int, p: float, level: float) -> int:
    """The least number of successes that as many or fewer have with this probability, summed up term by term."""
    below = 0.0
    for successes in range(n + 1):
        below += math.comb(n, successes) * p**successes * (1 - p) ** (n - successes)
        if below >= level:
            return successes
    raise AssertionError


@pytest.mark.parametrize(("right", "low", "high"), [(200, 180, 220), (40, 29, 52)])
def test_intervals_are_of_95_percent(right: int, low: int, high: int) -> None:
    """Draws of right and wrong answers are binomial; a 90 % interval would end at 184 and 216, or 30 and 50."""
    assert (binomial_quantile(400, right / 400, 0.025), binomial_quantile(400, right / 400, 0.975)) == (low, high)
    found = interval_of_mean([1.0] * right + [0.0] * (400 - right))
    assert (found["mean"], found["n"]) == (right / 400, 400)
    assert 400 * found["low"] == pytest.approx(low, abs=1)
    assert 400 * found["high"] == pytest.approx(high, abs=1)


def test_intervals_of_many_scores_are_the_normal_ones() -> None:
    values = np.random.default_rng(1).random(2000)
    found = interval_of_mean(values.tolist())
    error = 1.959964 * values.std() / math.sqrt(2000)
    assert found["low"] == pytest.approx(values.mean() - error, abs=error / 12)
    assert found["high"] == pytest.approx(values.mean() + error, abs=error / 12)


class Scripted:
    """Answers with a mask of the whole picture, or of nothing, or in words."""

    def __init__(self, masks: int, response: str) -> None:
        self.masks, self.response = masks, response
        self.asked: list[str] = []

    def encode_image(self, image: Image.Image) -> Image.Image:
        return image

    def segment(self, image: Image.Image, prompt: str) -> Any:
        self.asked.append(prompt)
        return SimpleNamespace(masks=np.ones((self.masks, image.height, image.width), bool), response=self.response)


@pytest.mark.parametrize(("masks", "share"), [(1, 0.3), (2, 0.0), (0, 0.0)])
def test_a_scene_is_asked_of_a_noun_of_an_absent_one_and_about_itself(masks: int, share: float) -> None:
    """Anything but one mask for one noun is wrong, and so is a mask of something that is not there."""
    scene = scene_of(("bee", (0, 0, 30, 80)))
    predictor = Scripted(masks, "There is one bee.")
    rows = list(evaluate_scene(predictor, scene, LEXICON))  # type: ignore[arg-type]
    assert [row.question for row in rows] == predictor.asked
    by_kind = {row.kind: row.score for row in rows}
    assert list(by_kind)[:2] == ["segment", "segment_absent"]
    assert by_kind["segment"] == pytest.approx(share)
    assert by_kind["segment_absent"] == float(masks == 0)
    assert by_kind["count"] == 1.0


def test_scores_of_a_kind_are_of_its_rows_alone() -> None:
    rows = [Row(0, "panorama", kind, "q", "e", "a", score) for kind, score in (("a", 1.0), ("b", 0.0), ("a", 0.5))]
    assert {kind: (one["mean"], one["n"]) for kind, one in scores(rows).items()} == {"a": (0.75, 2), "b": (0.0, 1)}

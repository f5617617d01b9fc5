"""What is asked of a scene, and scores from rows."""

from random import Random

from stamp.training.evaluate import Row, noun_request, scores
from tests.training.conftest import LEXICON
from tests.training.talk.scenes import scene_of


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

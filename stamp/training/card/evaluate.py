"""The questions of a checkpoint's studies on unseen scenes: mask IoU and right answers for a few simple kinds.

`python -m benchmarks run` measures on the shipped set (`scene_set`), which has all kinds and is never used for choices.
Raw rows first, scores from the rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from stamp.checkpoints.provenance import provenance
from stamp.pictures.masks import intersection_over_union
from stamp.predictor import StampPredictor
from stamp.training.card.scene_set import RIVALS, SIZES_WH, rivals
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.scene_config import SceneConfig
from stamp.training.scenes.scenes import VALIDATION_SEEDS, Scene, compose_scene
from stamp.training.talk import questions, requests
from stamp.training.talk.answers import is_right
from stamp.training.talk.exchange import Exchange
from stamp.training.talk.situation import Situation

BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class Row:
    """One question to the model. score: IoU of a mask, or 1/0 for a right or wrong answer."""

    seed: int
    background: str
    kind: str
    question: str
    expected: str
    answer: str
    score: float


def noun_request(scene: Scene, rng: Random, lexicon: Lexicon) -> Exchange | None:
    """ "segment the NOUN" for one of the scene's nouns; the expected answer is just the name."""
    if not (subjects := Situation(scene, rng, lexicon).subjects()):
        return None
    noun, items = rng.choice(list(subjects.items()))
    name = noun.name if len(items) == 1 else noun.plural
    return Exchange("segment", f"segment the {name}", name, (tuple(item.mask_id for item in items),))


def validation_scenes(art: ArtLibrary, n_scenes: int) -> Iterator[Scene]:
    """The first `n_scenes` scenes of the validation seeds, in the styles of the library."""
    for index in range(n_scenes):
        width, height = SIZES_WH[index % len(SIZES_WH)]
        yield compose_scene(VALIDATION_SEEDS.start + index, art, SceneConfig(art.styles, width, height))


def evaluate_scene(predictor: StampPredictor, scene: Scene, lexicon: Lexicon) -> Iterable[Row]:
    """One "segment the NOUN", one absent noun and one question of each kind; the image is encoded once."""
    rng = Random(scene.seed)
    image = predictor.encode_image(Image.fromarray(scene.image))
    if (request := noun_request(scene, rng, lexicon)) is not None:
        result = predictor.segment(image, request.question)
        truth = np.isin(scene.labels, request.targets[0])
        iou = intersection_over_union(result.masks[0], truth) if len(result.masks) == 1 else 0.0
        yield Row(scene.seed, scene.background, "segment", request.question, request.answer, result.response, iou)
    absent = requests.segment_absent(Situation(scene, rng, lexicon))
    result = predictor.segment(image, absent.question)
    yield _row(scene, absent, result.response, len(result.masks) == 0)
    for exchange in _questions(scene, rng, lexicon):
        answer = predictor.segment(image, exchange.question).response
        yield _row(scene, exchange, answer, is_answered(exchange, answer, lexicon))


def is_answered(exchange: Exchange, answer: str, lexicon: Lexicon) -> bool:
    """Whether an answer is right. Rivals are those of the evaluation set, and nouns for every kind of answer."""
    lists = rivals(lexicon.nouns)
    things = [thing for name in (*RIVALS.get(exchange.kind, ()), "nouns") for thing in lists[name]]
    return is_right(answer, exchange.question, exchange.accepted, things)


def _questions(scene: Scene, rng: Random, lexicon: Lexicon) -> list[Exchange]:
    situation = Situation(scene, rng, lexicon)
    makers = (questions.ask_count, questions.ask_exists, questions.ask_what)
    tries = (next(filter(None, (make(situation) for _ in range(8))), None) for make in makers)
    return [exchange for exchange in tries if exchange is not None]


def _row(scene: Scene, exchange: Exchange, answer: str, right: bool) -> Row:
    expected = " / ".join(exchange.accepted)
    return Row(scene.seed, scene.background, exchange.kind, exchange.question, expected, answer, float(right))


def evaluate(predictor: StampPredictor, art: ArtLibrary, n_scenes: int) -> list[Row]:
    """Rows of `n_scenes` validation scenes."""
    rows: list[Row] = []
    lexicon = Lexicon.of(art.nouns)
    bar = tqdm(validation_scenes(art, n_scenes), total=n_scenes, desc="evaluate", unit="scene")
    for scene in bar:
        rows += evaluate_scene(predictor, scene, lexicon)
        bar.set_postfix(iou=f"{np.mean([row.score for row in rows if row.kind == 'segment']):.3f}")
    return rows


def provenance_of_study(predictor: StampPredictor, art: ArtLibrary, n_scenes: int) -> dict[str, Any]:
    """The facts that a measurement on the first `n_scenes` validation scenes depends on."""
    about = {"n_scenes": n_scenes, "first_seed": VALIDATION_SEEDS.start, "styles": art.styles}
    return about | provenance(predictor)


def scores(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Mean, 95 % bootstrap interval and n of each kind. The mean of "segment" is gIoU."""
    result = {}
    for kind in dict.fromkeys(row.kind for row in rows):
        result[kind] = interval_of_mean([row.score for row in rows if row.kind == kind])
    return result


def interval_of_mean(scores: Sequence[float]) -> dict[str, float]:
    """Mean, 95 % bootstrap interval ("low", "high") and n."""
    values = np.array(scores)
    draws = np.random.default_rng(0).choice(values, (BOOTSTRAP_DRAWS, len(values))).mean(1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"mean": float(values.mean()), "low": float(low), "high": float(high), "n": len(values)}

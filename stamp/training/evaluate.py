"""Figures of a checkpoint on scenes it has never seen: mask IoU and right answers, through the public predictor.

An answer is right when an accepted word stands in it as a whole word and no rival does: the other of yes and no,
another number or side, another noun that was not in the question, by any of its words. Raw rows first, scores from
the rows.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from stamp.masks import intersection_over_union
from stamp.predictor import StampPredictor
from stamp.training.art import ArtLibrary
from stamp.training.groups import Lexicon
from stamp.training.scene_config import SceneConfig
from stamp.training.scenes import VALIDATION_SEEDS, Scene, compose_scene
from stamp.training.talk import facts, questions, requests
from stamp.training.talk.exchange import NUMBERS, Exchange
from stamp.training.talk.situation import Situation

#: Widths and heights in pixels, taken in turn: square, wide and tall.
SIZES_WH = ((384, 384), (448, 320), (320, 448))
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


def is_right(exchange: Exchange, answer: str, lexicon: Lexicon) -> bool:
    """The rule of the module docstring."""
    words = _words(answer)
    question = _words(exchange.question)
    rivals: set[str] = set()
    for noun in lexicon.nouns:
        forms = {noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals}
        if not any(form in exchange.accepted or _contains(question, form) for form in forms):
            rivals |= forms
    if exchange.kind == "exists":
        rivals |= {"yes", "no"}
    elif exchange.kind == "count":
        rivals |= {*NUMBERS, *(str(n) for n in range(len(NUMBERS))), "none"}
    elif exchange.kind == "where":
        rivals |= {*facts.SIDES, "middle"}
    accepted = {word for word in exchange.accepted if _contains(words, word)}
    others = {word for word in rivals - set(exchange.accepted) if _contains(words, word)}
    return bool(accepted) and not others


def _words(text: str) -> str:
    return " " + " ".join(re.findall(r"[a-z0-9]+", text.lower())) + " "


def _contains(words: str, phrase: str) -> bool:
    return _words(phrase) in words


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
        yield _row(scene, exchange, answer, is_right(exchange, answer, lexicon))


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


def write_evaluation(rows: Sequence[Row], provenance: dict[str, Any], folder: Path) -> None:
    """`evaluation.jsonl` (the rows) and `evaluation.json` (provenance and scores) into a folder."""
    lines = [json.dumps(asdict(row)) for row in rows]
    (folder / "evaluation.jsonl").write_text("\n".join(lines) + "\n")
    summary = {"provenance": provenance, "scores": scores(rows)}
    (folder / "evaluation.json").write_text(json.dumps(summary, indent=1) + "\n")

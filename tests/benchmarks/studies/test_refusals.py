"""Counts of declined words, and that the unseen words are unseen."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from PIL import Image

from benchmarks.datasets.sample import Dataset, QuestionSample
from benchmarks.scoring.records import Record
from benchmarks.studies.refusals import UNSEEN, ask_unseen, refusals
from stamp.predictor import StampPredictor
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.vocabulary import load_vocabulary, taught_nouns
from stamp.training.talk.chat import CODAS, ONSETS, UNTAUGHT, VOWELS, taught_words

DECLINED = "I don't know that word."


def test_unseen_words_are_a_hundred_that_training_does_not_have() -> None:
    words = UNSEEN.split()
    assert len(words) == len(set(words)) == 100
    seen = taught_words(Lexicon.of(taught_nouns())) | taught_words(Lexicon.of(load_vocabulary()))
    assert seen.isdisjoint({form for word in words for form in (word, f"{word}s")})
    assert set(UNTAUGHT.split()).isdisjoint(words)
    onsets, vowels, codas = ("|".join(sounds.split()) for sounds in (ONSETS, VOWELS, CODAS))
    begun = "|".join(noun.name for noun in taught_nouns() if " " not in noun.name)
    made_up = re.compile(f"(?:{begun})?((?:{onsets})(?:{vowels})){{1,3}}(?:{codas})?")
    assert made_up.fullmatch("gazebo")
    assert made_up.fullmatch("antlo")
    assert not [word for word in words if made_up.fullmatch(word)]


def test_each_word_is_asked_once_of_one_picture_after_the_other(tmp_path: Path) -> None:
    asked: list[tuple[int, str]] = []

    class Predictor:
        def encode_image(self, image: Image.Image) -> int:
            return image.width

        def segment(self, image: int, prompt: str) -> Any:
            asked.append((image, prompt))
            knows = prompt.endswith("acorn")
            return SimpleNamespace(response="Sure" if knows else DECLINED, masks=[1] if knows else [])

    def samples() -> Iterator[QuestionSample]:
        for width in (8, 9):
            path = tmp_path / f"{width}.png"
            Image.new("RGB", (width, 8)).save(path)
            for number in range(2):
                yield QuestionSample("d", "known", f"{width}-{number}", "count", path, "How many?", (), ())

    dataset = Dataset("d", ("known",), tuple(samples()), ())
    answers = list(ask_unseen(cast(StampPredictor, Predictor()), dataset))
    assert asked == [(8 + index % 2, f"segment the {word}") for index, word in enumerate(UNSEEN.split())]
    assert answers[0] == {"word": "acorn", "answer": "Sure", "masks": 1}
    counts = refusals(answers, [record("exists", DECLINED), record("unknown", DECLINED), record("count", "Two.")])
    assert counts == {
        "unseen": 100, "unseen declined": 99, "known": 2, "known declined": 1, "accepted": answers[:1]
    }  # fmt: skip


def record(kind: str, text: str) -> Record:
    return Record(
        dataset="d", split="known", sample=kind, image="a.png", kind=kind, prompt="?", method="stamp", variant="",
        precision="float32", status="ok", order=0, text=text, raw_output=text, correct=True,
    )  # fmt: skip

"""What a run has not measured is told from its records and settings, of earlier versions too."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.scoring.records import Record
from demo.board.incomplete import gaps
from tests.benchmarks.scoring.test_records import MASK, QUESTION

MASK_, QUESTION_ = (replace(one, variant="") for one in (MASK, QUESTION))


def answers(split: str, masks: int, questions: int, *labels: str) -> list[Record]:
    made = [replace(MASK_, sample=f"e{number}") for number in range(masks)]
    made += [replace(QUESTION_, sample=f"q{number}") for number in range(questions)]
    return [replace(one, split=split, method=label) for label in labels for one in made]


def run(limit: int | None, *methods: str, samples: int | None = 90, **config: Any) -> dict[str, Any]:
    given = {"splits": ["known", "style"], "methods": [*methods], "limit": limit, **config}
    return {"config": given, "dataset": {"sha256": "x"} | ({} if samples is None else {"samples": samples})}


WHOLE = [*answers("known", 3, 2, "a", "b"), *answers("style", 4, 1, "a", "b"), *answers("known", 0, 2, "words")]
WHOLE += answers("style", 0, 1, "words")


@pytest.mark.parametrize(
    ("about", "records", "missing"),
    [
        (run(5, "a", "b", "words"), WHOLE, []),  # one method is only asked questions
        (run(None, "a", "b", "words", samples=10), WHOLE, []),
        (run(99, "a", "b", "words", samples=10), WHOLE, []),  # the limit is larger than the splits
        (run(99, "a", samples=5, splits=["known"]), answers("known", 3, 2, "a"), []),
        (run(None, "a", "b", "words", kinds=["segment"]), WHOLE, []),  # how many of a kind there are is not known
        (run(99, "a", "b", "words", kinds=["segment"]), WHOLE, []),
        (run(None, "a", "b", "words", samples=None), WHOLE, []),  # an early run.json
        (run(6, "a", "b"), WHOLE, ["5 of 6 samples of known", "5 of 6 samples of style"]),
        (run(5, "a"), answers("known", 3, 2, "a"), ["0 of 5 samples of style"]),
        (run(99, "a", samples=9, splits=["known"]), answers("known", 3, 2, "a"), ["5 of 9 samples of known"]),
        (run(None, "a", "b"), WHOLE, ["10 of 90 samples"]),
        (run(None, "a", kinds=["count"]), answers("known", 0, 2, "a"), ["no sample of style"]),
        (run(5, "a", "b", "c", "d"), WHOLE, ["no record of c, d"]),
        (
            run(5, "a", "b", "words"),
            [one for one in WHOLE if (one.label, one.sample) not in {("b", "e0"), ("words", "q1")}],
            ["4 of 5 samples of known by b", "4 of 5 samples of style by b", "1 of 2 samples of known by words"],
        ),
    ],
)
def test_what_is_missing_is_named(about: dict[str, Any], records: list[Record], missing: list[str]) -> None:
    assert gaps(records, about) == missing

"""Learning curves from small files made by hand: means, intervals over scenes, lines that cannot be read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.scoring.curves import (
    CurveAnswer,
    curve_files,
    curve_points,
    read_answers,
    read_curves,
)
from benchmarks.scoring.intervals import DRAWS, LEVEL, SEED

LINE: dict[str, Any] = {
    "pictures": 8000, "picture": "a.png", "kind": "mask", "question": "segment the crab", "score": 0.83
}  # fmt: skip


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((one if isinstance(one, str) else json.dumps(LINE | one)) + "\n" for one in lines))
    return path


def test_a_point_is_the_mean_of_its_answers(tmp_path: Path) -> None:
    path = write(
        tmp_path / "nano-polygon" / "curve.jsonl",
        {"pictures": 2000, "picture": "1", "score": 0.5},
        {"pictures": 0, "picture": "1", "score": 0},
        {"pictures": 2000, "picture": "2", "score": 1.0},
        {"pictures": 2000, "picture": "2", "kind": "question", "score": 1},
        {"pictures": 2000, "picture": "2", "kind": "question", "question": "How many?", "score": 0, "answer": "two"},
    )
    points, problems = read_curves({"polygon": path})
    assert problems == []
    assert [(one.method, one.kind, one.pictures, one.score.value, one.score.n) for one in points] == [
        ("polygon", "mask", 0, 0.0, 1),
        ("polygon", "mask", 2000, 0.75, 2),
        ("polygon", "question", 2000, 0.5, 2),
    ]
    assert (points[0].score.low, points[2].score.high) == (None, None)  # of one scene, nobody knows the spread
    assert (points[1].score.low, points[1].score.high) == (0.5, 1.0)


def test_intervals_draw_scenes_not_answers() -> None:
    """Each scene has two equal answers: the interval is that of scenes, computed here draw by draw."""
    rng = np.random.default_rng(3)
    scores = rng.uniform(size=12)
    answers = [
        CurveAnswer(100, str(number), "mask", question, float(score))
        for number, score in enumerate(scores)
        for question in "ab"
    ]
    (point,) = curve_points("stamp", answers)
    drawn = np.random.default_rng(SEED).integers(12, size=(DRAWS, 12))
    order = [int(one) for one in sorted(map(str, range(12)))]  # groups are numbered by their names
    low, high = np.quantile(scores[order][drawn].mean(axis=1), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    assert (point.method, point.kind, point.pictures) == ("stamp", "mask", 100)
    assert point.score.value == pytest.approx(scores.mean())
    assert [point.score.low, point.score.high] == pytest.approx([low, high])
    assert point.score.n == 24


def test_an_answer_that_was_given_again_counts_once(tmp_path: Path) -> None:
    """A training that goes on repeats what it measured since its last save."""
    path = write(tmp_path / "curve.jsonl", {"score": 0.1}, {"picture": "5", "score": 0.4}, {"score": 0.2})
    answers, problems = read_answers(path)
    assert problems == []
    assert [answer.score for answer in answers] == [0.2, 0.4]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"pictures": 1', "Expecting"),
        ("[1]", "not a JSON object"),
        ("{}", "fields missing: pictures, picture, kind, question, score"),
        ({"pictures": -1}, "pictures must be a number from 0 on, got -1"),
        ({"pictures": True}, "pictures must be a number from 0 on, got True"),
        ({"pictures": 2**63}, "pictures must be a number from 0 on, got 9223372036854775808"),
        ({"picture": 1}, "picture must be a text"),
        ({"kind": "words"}, "kind must be mask or question, got 'words'"),
        ({"kind": ["mask"]}, "kind must be mask or question"),
        ({"question": None}, "question must be a text"),
        ({"score": 1.5}, "score must be from 0 to 1, got 1.5"),
        ({"score": float("nan")}, "score must be from 0 to 1, got nan"),
        ({"score": True}, "score must be from 0 to 1, got True"),
        ({"kind": "question", "score": 0.5}, "the score of a question must be 0 or 1, got 0.5"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: dict[str, Any] | str, problem: str) -> None:
    path = write(tmp_path / "nano-x" / "curve.jsonl", {}, line, "", {"picture": "2"})
    answers, problems = read_answers(path)
    assert len(answers) == 2
    (found,) = problems
    assert found.startswith("nano-x/curve.jsonl, line 2: ")
    assert problem in found


def test_files_are_those_beside_the_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.scoring.curves.ASSETS", tmp_path)
    assert curve_files() == {}
    path = write(tmp_path / "nano-patch-text" / "curve.jsonl", {})
    write(tmp_path / "another" / "curve.jsonl", {})
    assert curve_files() == {"patch_text": path}


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "nano-stamp" / "curve.jsonl", {})
    points, problems = read_curves({"polygon": tmp_path / "nano-polygon" / "curve.jsonl", "stamp": good})
    assert [point.method for point in points] == ["stamp"]
    assert problems == ["nano-polygon/curve.jsonl: No such file or directory"]

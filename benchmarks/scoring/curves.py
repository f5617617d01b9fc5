"""Learning curves: how well a method answers while it is trained, from the answers beside its checkpoint.

A training writes `curve.jsonl`, one line per answer about an unseen picture:

    {"pictures": 8000, "picture": "known-0007.png", "kind": "mask", "question": "segment the crab", "score": 0.83}

pictures: how many it had seen until then. picture: what the answer is about. kind: "mask", whose score is the IoU, or
"question", whose score is 1 if the answer is right and 0 if not. More fields may follow.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

from benchmarks.checkpoints import ASSETS, CHECKPOINTS
from benchmarks.scoring.intervals import Interval, bootstrap, mean
from benchmarks.scoring.records import read_lines

CURVE_FILE = "curve.jsonl"

Kind = Literal["mask", "question"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class CurveAnswer:
    """One line. Raises ValueError for a field of a wrong type or value."""

    pictures: int
    picture: str
    kind: Kind
    question: str
    score: float

    def __post_init__(self) -> None:
        if type(self.pictures) is not int or not 0 <= self.pictures < 2**63:
            raise ValueError(f"pictures must be a number from 0 on, got {self.pictures!r:.60}")
        if not isinstance(self.picture, str):
            raise ValueError(f"picture must be a text, got {self.picture!r:.60}")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be {' or '.join(KINDS)}, got {self.kind!r:.60}")
        if not isinstance(self.question, str):
            raise ValueError(f"question must be a text, got {self.question!r:.60}")
        if type(self.score) not in (int, float) or not 0 <= self.score <= 1:
            raise ValueError(f"score must be from 0 to 1, got {self.score!r:.60}")
        if self.kind == "question" and self.score not in (0, 1):
            raise ValueError(f"the score of a question must be 0 or 1, got {self.score!r:.60}")

    @property
    def key(self) -> tuple[int, str, str, str]:
        """What identifies an answer of one training."""
        return self.pictures, self.kind, self.picture, self.question

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Raises ValueError: not JSON, or a field is missing or wrong."""
        content: Any = json.loads(line)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        names = [one.name for one in fields(cls)]
        if missing := [name for name in names if name not in content]:
            raise ValueError(f"fields missing: {', '.join(missing)}")
        return cls(**{name: content[name] for name in names})


@dataclass(frozen=True)
class CurvePoint:
    """A method after so many pictures. score: mean of its answers of one kind, with the interval over pictures."""

    method: str
    kind: Kind
    pictures: int
    score: Interval


def curve_files() -> dict[str, Path]:
    """The files of the checkpoints in `assets/` that have one, by method."""
    paths = {method: ASSETS / folder / CURVE_FILE for method, folder in CHECKPOINTS.items()}
    return {method: path for method, path in paths.items() if path.is_file()}


def read_answers(path: Path) -> tuple[list[CurveAnswer], list[str]]:
    """(answers, lines that cannot be read). Of answers to the same question after as many pictures, the last counts.

    Raises OSError.
    """
    problems: list[str] = []
    text, name = path.read_bytes().decode("utf-8", errors="replace"), f"{path.parent.name}/{path.name}"
    answers = {answer.key: answer for answer in read_lines(text, name, CurveAnswer.from_line, problems)}
    return list(answers.values()), problems


def curve_points(method: str, answers: Iterable[CurveAnswer]) -> list[CurvePoint]:
    """One point for each kind and number of pictures, in this order."""
    groups: dict[tuple[int, int], list[CurveAnswer]] = {}
    for answer in answers:
        groups.setdefault((KINDS.index(answer.kind), answer.pictures), []).append(answer)
    return [CurvePoint(method, KINDS[kind], pictures, _score(own)) for (kind, pictures), own in sorted(groups.items())]


def _score(answers: list[CurveAnswer]) -> Interval:
    """Answers about one picture are drawn together, as they resemble each other."""
    scores = {"score": mean([answer.score for answer in answers])}
    return bootstrap(scores, [answer.picture for answer in answers])["score"]


def read_curves(paths: Mapping[str, Path]) -> tuple[list[CurvePoint], list[str]]:
    """(points of all methods, what cannot be read). paths: files by method."""
    points: list[CurvePoint] = []
    problems: list[str] = []
    for method, path in paths.items():
        try:
            answers, unread = read_answers(path)
        except OSError as error:
            answers, unread = [], [f"{path.parent.name}/{path.name}: {error.strerror}"]
        points += curve_points(method, answers)
        problems += unread
    return points, problems

"""How a method's answers improve while it learns: the same few samples, answered after more and more pictures."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.datasets.sample import Sample
from benchmarks.methods import Method
from benchmarks.running.measuring import run_samples
from benchmarks.scoring.scores import iou_of
from stamp.files import append_row


def milestones(steps: int, points: int) -> tuple[int, ...]:
    """When to measure: `points` times, each time after the same number of steps, at last after all of them."""
    return tuple(sorted({round(steps * point / points) for point in range(1, points + 1)} - {0}))


def measured(path: Path) -> set[int]:
    """The numbers of pictures that a curve already has."""
    return {json.loads(line)["pictures"] for line in path.read_text().splitlines()} if path.exists() else set()


def add_point(path: Path, method: Method, samples: Sequence[Sample], pictures: int) -> None:
    """Append the method's answers after some pictures, one line each."""
    for row in list(answers(method, samples)):  # all or none: Ctrl-C may come between
        append_row(path, {"pictures": pictures, **row})


def answers(method: Method, samples: Sequence[Sample]) -> Iterator[dict[str, object]]:
    """A line for each answer, without the number of pictures (`benchmarks.scoring.curves`)."""
    for record in run_samples([method], samples, warmups=0):
        is_question = record.correct is not None
        score = float(bool(record.correct)) if is_question else iou_of(record)
        about = {"sample": record.sample, "picture": record.image, "kind": "question" if is_question else "mask"}
        yield about | {"question": record.prompt, "score": round(score, 4)}

"""The budget that a method was trained with, from the records beside its checkpoint: which backbone, how many pictures.

Methods have an equal budget if both are the same. Unknown is None, and an unknown budget equals no other.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

#: Written by `python -m benchmarks train`, beside the checkpoint.
SWEEP_FILE, TRAINING_FILE = "sweep.json", "training.json"
#: In the first: pictures that were seen before the training that the second is about, since the same backbone.
SEEN_BEFORE = "seen_before"
#: Fields of each method in `run.json`.
BUDGET_FIELDS = ("trained_from", "pictures_seen")

#: Backbone and number of pictures.
Budget = tuple[str, int]
P = TypeVar("P")


def read_budget(folder: Path) -> dict[str, Any]:
    """BUDGET_FIELDS of a checkpoint's folder; each is None where no record says so.

    trained_from: name of the checkpoint that the training started from. pictures_seen: since then, steps done x
    pictures of a step x processes, and those of earlier trainings that it went on from. Without a known start there is
    no number to compare.
    """
    start = _read(folder / SWEEP_FILE, lambda sweep: PurePosixPath(sweep["backbone"]).name)
    pictures = None if start is None else _read(folder / TRAINING_FILE, _pictures_of)
    if pictures is not None:
        pictures += _read(folder / SWEEP_FILE, lambda sweep: int(sweep[SEEN_BEFORE])) or 0
    return dict(zip(BUDGET_FIELDS, (start, pictures), strict=True))


def pictures_seen(checkpoints: Mapping[str, Path]) -> int:
    """How many pictures some methods' checkpoints have seen since their backbone.

    Raises ValueError if that is unknown, or not the same for all.
    """
    seen = {name: read_budget(folder)["pictures_seen"] for name, folder in checkpoints.items()}
    if len(set(seen.values())) > 1 or None in seen.values():
        found = ", ".join(f"{name} {pictures}" for name, pictures in seen.items())
        raise ValueError(f"methods can only go on together after the same number of pictures: {found}")
    return int(next(iter(seen.values())))


def _read(path: Path, part: Callable[[Any], P]) -> P | None:
    """A part of a record; None without the file, and for a file of another kind with the same name."""
    try:
        return part(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None


def _pictures_of(training: dict[str, Any]) -> int:
    """Stages before the current one are complete. A record without `processes` is of one process."""
    progress = training["progress"]
    begun = training["config"]["stages"][: progress["stage"] + 1]
    steps = [*(stage["steps"] for stage in begun[:-1]), progress["step"]]
    seen = (
        number * stage["plan"]["images"]
        for number, stage in zip(steps, begun, strict=True)
        if stage["objective"] != "words"
    )
    return int(sum(seen) * training.get("processes", 1))


def budget_of(method: Mapping[str, Any]) -> Budget | None:
    """The budget in a method's entry of `run.json`; None unless backbone and pictures are both known."""
    start, pictures = (method.get(name) for name in BUDGET_FIELDS)
    return None if start is None or pictures is None else (start, pictures)


def equal_budget(methods: Mapping[str, Mapping[str, Any]]) -> Budget | None:
    """The budget of most checkpoints of a run, the first of several such; None if no budget is known.

    methods: entries of `run.json` by label; variants of a method have one checkpoint.
    """
    checkpoints = dict.fromkeys(
        (budget, one.get("checkpoint_sha256", label))
        for label, one in methods.items()
        if (budget := budget_of(one)) is not None
    )
    known = Counter(budget for budget, _ in checkpoints)
    return known.most_common(1)[0][0] if known else None

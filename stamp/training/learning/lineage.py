"""The earlier runs behind a checkpoint: each run passes their record on to the next."""

import json
from pathlib import Path
from typing import Any


def record_of(checkpoint: Path) -> dict[str, Any] | None:
    """The `training.json` of the run that made a checkpoint, beside it or in its folder; None if there is none."""
    for path in (checkpoint / "training.json", checkpoint.parent / "training.json"):
        if path.is_file():
            record: dict[str, Any] = json.loads(path.read_text())
            return record
    return None


def lineage(*checkpoints: Path | None) -> list[dict[str, Any]]:
    """All runs before one that starts from these checkpoints, earliest first, each once.

    Each entry is the run's own `training.json` without earlier runs.
    """
    runs: list[dict[str, Any]] = []
    for checkpoint in checkpoints:
        if checkpoint is None or (record := record_of(checkpoint)) is None:
            continue
        earlier = record.pop("earlier", [])
        runs += [run for run in (*earlier, record) if run not in runs]
    return runs

"""What must be equal for one run to continue another."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stamp.training.learning.config import TrainingConfig, config_fingerprint
from stamp.training.scenes.photographs import PhotoLibrary

#: What a run has whose value differs.
OTHERS = {
    "config": "another configuration",
    "masks": "another mask objective",
    "photographs": "other photographs",
    "start": "other weights to start from",
    "processes": "another number of processes",
}


def run_identity(
    config: TrainingConfig,
    masks: str,
    photographs: PhotoLibrary | None,
    earlier: Iterable[Mapping[str, Any]],
    processes: int,
) -> dict[str, Any]:
    """As `state.pt` holds it. Photographs count by their file names and nouns, `earlier` runs by what they trained."""
    shown = photographs.photographs if photographs else ()
    names = [(photo.path.name, [item.noun.name for item in photo.objects]) for photo in shown]
    start = [(run.get("config"), run.get("progress")) for run in earlier]  # a card adds a note to the rest
    return {
        "config": config_fingerprint(config),
        "masks": masks,
        "photographs": _digest(names),
        "start": _digest(start),
        "processes": processes,
    }


def refuse_other_run(state: Mapping[str, Any], own: Mapping[str, Any], path: Path) -> None:
    """Raise ValueError unless a saved state has the values of our own run; what an old state does not name may differ.

    path: of the state, for the message.
    """
    if others := [OTHERS[name] for name, value in own.items() if state.get(name, value) != value]:
        raise ValueError(
            f"{path} belongs to a run with {' and '.join(others)}; give that run's options, or choose another --out"
        )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

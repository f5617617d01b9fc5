"""run.json: the settings a folder's records were measured with, so that a run is only resumed with the same ones."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.budget import BUDGET_FIELDS
from benchmarks.fingerprint import sha256_of
from benchmarks.scoring.records import Record, record_files
from stamp.files import write_atomically, writing

if TYPE_CHECKING:  # a report reads run.json and needs no model
    from benchmarks.datasets.sample import Dataset
    from benchmarks.methods import Method

RUN_FILE = "run.json"
#: May differ when a run is resumed: it may ask for more, and another day or commit is recorded as another session.
SESSION_FIELDS = ("date", "commit", "uncommitted_changes")
#: Fields of a method that folders of earlier versions do not have. A run there goes on, and its `run.json` gets them.
LATER_FIELDS = frozenset(BUDGET_FIELDS)
#: Fields of a method that only folders of earlier versions have; they say nothing about how it answers.
FORMER_FIELDS = frozenset(("note",))


@dataclass(frozen=True)
class RunConfig:
    """What to run. limit: samples per split, drawn with `seed`; None is all. processes: how many share the work.

    kinds: of samples; None is all. seconds: whether they count; no report shows those of a run beside other work.
    """

    dataset: str
    splits: tuple[str, ...]
    methods: tuple[str, ...]
    limit: int | None = None
    seed: int = 0
    warmups: int = 1
    processes: int = 1
    kinds: tuple[str, ...] | None = None
    seconds: bool = True

    def __post_init__(self) -> None:
        for name, least in (("limit", 1), ("seed", 0), ("warmups", 1), ("processes", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")


def begin_run(folder: Path, config: RunConfig, dataset: "Dataset", methods: Sequence["Method"]) -> None:
    """Write `run.json`, or add a session to the existing one.

    Raises ValueError when the folder holds records of another run; the message says what differs.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUN_FILE
    new = _describe(config, dataset, methods)
    if (old := read_run(folder)) is not None:
        if changed := list(_differences(_lasting(old), _lasting(new))):
            raise ValueError(f"{folder} holds a different run; name a new folder with --out. {'; '.join(changed)}.")
        limits = old["config"].get("limit"), config.limit
        new["config"]["limit"] = None if None in limits else max(limits)  # the folder keeps all records
        new["sessions"] = old["sessions"] + [one for one in new["sessions"] if one not in old["sessions"]]
    elif record_files(folder):
        raise ValueError(f"{folder} holds records but no {RUN_FILE}, so their origin is unknown; name a new folder.")
    write_atomically(path, json.dumps(new, indent=1) + "\n")


def read_run(folder: Path) -> dict[str, Any] | None:
    """The content of a folder's `run.json`; None without one. Raises ValueError if it cannot be read."""
    path = folder / RUN_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if {"config", "dataset", "methods", "sessions"} <= set(content):
            return dict(content)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    raise ValueError(f"{path} does not describe a run.")


def as_counted(records: Sequence[Record], run: Mapping[str, Any] | None) -> Sequence[Record]:
    """The records of a run, without their seconds if these do not count. run: its `run.json`."""
    if seconds_count(run):
        return records
    return [replace(record, total_s=None, phases_s={}) for record in records]


def seconds_count(run: Mapping[str, Any] | None) -> bool:
    """What a `run.json` says; they count if it says nothing."""
    return run is None or bool(run["config"].get("seconds", True))


def _describe(config: RunConfig, dataset: "Dataset", methods: Sequence["Method"]) -> dict[str, Any]:
    described = {label: method.provenance() for label, method in zip(config.methods, methods, strict=True)}
    return {
        "config": json.loads(json.dumps(asdict(config))),
        "dataset": {"sha256": sha256_of(dataset.files), "files": len(dataset.files), "samples": len(dataset.samples)},
        "methods": {
            label: {name: value for name, value in about.items() if name not in SESSION_FIELDS}
            for label, about in described.items()
        },
        "sessions": [{name: next(iter(described.values()))[name] for name in SESSION_FIELDS}],
    }


def _lasting(run: dict[str, Any]) -> dict[str, Any]:
    config = {"seconds": True} | {name: value for name, value in run["config"].items() if name != "limit"}
    methods = {
        label: {name: value for name, value in about.items() if name not in FORMER_FIELDS}
        for label, about in run["methods"].items()
    }
    return {"config": config, "dataset": run["dataset"], "methods": methods}


def _differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """ "methods.stamp.dtype: float32 there, bfloat16 now" for each leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            if name in LATER_FIELDS and name not in old:
                continue
            yield from _differences(old.get(name), new.get(name), f"{where}.{name}" if where else name)
    elif old != new:
        yield f"{where}: {old} there, {new} now"

"""The report of a run: every score of every method and split, made from its records alone.

`report.json` holds everything, `report.md` the tables. Latency, tokens and forward passes cover requests for a mask;
questions are in the table by kind.
"""

import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from benchmarks.budget import BUDGET_FIELDS, Budget, budget_of, equal_budget
from benchmarks.checkpoints import BACKBONE
from benchmarks.reporting.report_table import report_tables
from benchmarks.running.memory import read_memory
from benchmarks.running.run_file import as_counted, read_run
from benchmarks.scoring.intervals import DRAWS, LEVEL, SEED, Interval
from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.records import Record, records_of
from benchmarks.scoring.scores import against, cost_of, scores_of
from stamp.files import write_atomically

REPORT_FILE, TABLE_FILE = "report.json", "report.md"
#: All other methods are compared with this one in its default variant.
REFERENCE = "stamp"
#: From this many records on, a bar shows the report's progress.
BAR_ABOVE_RECORDS = 5000

K = TypeVar("K", bound=Hashable)


def make_report(folder: Path, convention: str = "ours") -> dict[str, Any]:
    """The report of a run's folder. Raises ValueError: no records, unknown convention."""
    if convention not in CONVENTIONS:
        raise ValueError(f"There is no convention {convention!r}; choose one of {', '.join(CONVENTIONS)}.")
    records, problems = records_of(folder)
    run, memory = read_run(folder), read_memory(folder)
    rows = rows_of(as_counted(records, run))
    bar = tqdm(rows.items(), desc="report", unit="row", disable=len(records) < BAR_ABOVE_RECORDS)
    methods = (run or {"methods": {}})["methods"]
    budget = equal_budget(methods)
    made = []
    for key, own in bar:
        about = methods.get(key[2], {})
        backbone = rows.get((*key[:2], BACKBONE), []) if _starts_from_backbone(about, methods) else []
        made.append(
            _row(key[2], own, rows.get((*key[:2], REFERENCE), []), convention)
            | {"before": _before(own, backbone, convention)}
            | {"memory": memory.get(key[2]), "note": _note(key[2], about, budget)}
        )
    return {
        "convention": convention,
        "bootstrap": {"draws": DRAWS, "seed": SEED, "level": LEVEL, "drawn": "pictures"},
        "reference": REFERENCE,
        "equal_budget": None if budget is None else _equal(budget, methods),
        "run": run,
        "problems": problems,
        "rows": made,
    }


def rows_of(records: Iterable[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """Records by dataset, split and method: those of each row of a report."""
    return group(records, lambda record: (record.dataset, record.split, record.label))


def group(records: Iterable[Record], key: Callable[[Record], K]) -> dict[K, list[Record]]:
    """Records by key, both in their order."""
    groups: dict[K, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def _row(label: str, records: Sequence[Record], reference: Sequence[Record], convention: str) -> dict[str, Any]:
    masks = [record for record in records if record.no_target is not None]
    compared = None if label == REFERENCE else _json(against(records, reference, CONVENTIONS[convention]))
    return {
        "dataset": records[0].dataset,
        "split": records[0].split,
        "method": label,
        "precision": records[0].precision,
        **counts_of(records),
        "without_annotation": sum(record.union is None for record in masks),
        "scores": _json(scores_of(records, CONVENTIONS[convention])),
        "cost": asdict(cost_of(masks)),
        "against_reference": compared,
        "kinds": {
            kind: {"scores": _json(scores_of(own, CONVENTIONS[convention])), "cost": asdict(cost_of(own))}
            for kind, own in group(records, lambda record: record.kind).items()
        },
    }


def counts_of(records: Sequence[Record]) -> dict[str, int]:
    """How many records ask for a mask, how many do not, and how many are errors."""
    masks = sum(record.no_target is not None for record in records)
    errors = sum(record.status == "error" for record in records)
    return {"requests_for_masks": masks, "questions": len(records) - masks, "errors": errors}


def _starts_from_backbone(about: Mapping[str, Any], methods: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a method's training started from the backbone that the run measured."""
    start = about.get("trained_from")
    return start is not None and start == methods.get(BACKBONE, {}).get("model")


def _note(label: str, about: Mapping[str, Any], equal: Budget | None) -> str | None:
    """How a method's training differs from the equal budget of the others; None if it does not, or there is none."""
    own = budget_of(about)
    if equal is None or own == equal or label.partition(":")[0] == BACKBONE:
        return None
    if own is None:
        return "no record says that it was trained with the equal budget"
    return f"trained from {own[0]} on {own[1]} pictures, which is not the equal budget"


def _equal(budget: Budget, methods: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    labels = [label for label, about in methods.items() if budget_of(about) == budget]
    return dict(zip(BUDGET_FIELDS, budget, strict=True)) | {"methods": labels}


def _before(records: Sequence[Record], backbone: Sequence[Record], convention: str) -> dict[str, Any] | None:
    """The dialogue score of a method's backbone, and the method's score minus the backbone's, paired."""
    if not backbone:
        return None
    score = scores_of(backbone, CONVENTIONS[convention])["dialogue"]
    return _json({"dialogue": score, "change": against(records, backbone, CONVENTIONS[convention])["dialogue"]})


def _json(intervals: Mapping[str, Interval | None]) -> dict[str, Any]:
    return {name: None if interval is None else asdict(interval) for name, interval in intervals.items()}


def write_report(folder: Path, convention: str = "ours") -> str:
    """Write `report.json` and `report.md` beside the records; returns the tables. Raises ValueError."""
    report = make_report(folder, convention)
    tables = report_tables(report)
    write_atomically(folder / REPORT_FILE, json.dumps(report, indent=1, allow_nan=False) + "\n")
    write_atomically(folder / TABLE_FILE, tables)
    return tables


def check_report(folder: Path) -> list[str]:
    """Where a stored report no longer matches its records; empty if it does. Raises ValueError without a report.

    Figures may differ in the ninth digit, because sums differ slightly between machines.
    """
    path = folder / REPORT_FILE
    if not path.exists():
        raise ValueError(f"{folder} holds no {REPORT_FILE}; `python -m benchmarks report {folder}` writes it.")
    stored = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(stored, dict) or stored.get("convention") not in CONVENTIONS:
        raise ValueError(f"{path} is not a report.")
    found = list(unequal(stored, make_report(folder, stored["convention"])))
    table = folder / TABLE_FILE
    if not table.exists() or table.read_text(encoding="utf-8") != report_tables(stored):
        found.append(f"{TABLE_FILE} is not the table of {REPORT_FILE}")
    return found


def unequal(stored: Any, made: Any, where: str = "report") -> Iterable[str]:
    """Where two JSON values differ."""
    if isinstance(stored, dict) and isinstance(made, dict) and list(stored) == list(made):
        for name in stored:
            yield from unequal(stored[name], made[name], f"{where}.{name}")
    elif isinstance(stored, list) and isinstance(made, list) and len(stored) == len(made):
        for number, (one, other) in enumerate(zip(stored, made, strict=True)):
            yield from unequal(one, other, f"{where}[{number}]")
    elif isinstance(stored, float) and isinstance(made, float):
        if not math.isclose(stored, made, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{where}: stored {stored}, from the records {made}"
    elif stored != made:
        yield f"{where}: stored {str(stored)[:60]}, from the records {str(made)[:60]}"

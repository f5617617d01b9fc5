"""Reads the report beside a run's records, if it is still about them: making it again takes seconds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.reporting.report import REPORT_FILE, counts_of, rows_of, unequal
from benchmarks.running.memory import read_memory
from benchmarks.running.run_file import as_counted, read_run
from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.records import Record
from benchmarks.scoring.scores import cost_of, scores_of
from demo.board.run_shapes import check_report

CONVENTION = "ours"


def stored_report(folder: Path, records: Sequence[Record]) -> dict[str, Any] | None:
    """`report.json` where it is about these records and the settings and memory beside them; else None.

    Without its intervals, which take the time; `benchmarks report --check` compares figure by figure.
    """
    try:
        report = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
        check_report(report)
        rows = {(row["dataset"], row["split"], row["method"]): row for row in report["rows"]}
        memory, counted = read_memory(folder), as_counted(records, report["run"])
        made = {key: _figures(own) | {"memory": memory.get(key[2])} for key, own in rows_of(counted).items()}
        is_current = (
            (report["convention"], report["problems"], report["run"]) == (CONVENTION, [], read_run(folder))
            and len(rows) == len(report["rows"])
            and not any(unequal({key: _stored(row) for key, row in rows.items()}, made))
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return dict(report) if is_current else None


def _figures(records: Sequence[Record]) -> dict[str, Any]:
    masks = [record for record in records if record.no_target is not None]
    scores = scores_of(records, CONVENTIONS[CONVENTION], draws=0)
    return {
        **counts_of(records),
        "scores": {name: score and score.value for name, score in scores.items()},
        "cost": asdict(cost_of(masks)),
    }


def _stored(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a row of the report."""
    names = ("requests_for_masks", "questions", "errors", "scores", "cost", "memory")
    scores = {name: score and score["value"] for name, score in row["scores"].items()}
    return {name: row[name] for name in names} | {"scores": scores}

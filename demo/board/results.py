"""Reads run folders into what the tab needs: rows (one for each method, split and kind of request) and samples.

Every figure comes from `benchmarks.reporting.report`, and from `benchmarks.scoring.scores` for single samples. A folder
or line that cannot be read is named, and the rest is shown.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.budget import BUDGET_FIELDS
from benchmarks.reporting.report import make_report
from benchmarks.reporting.report_table import commit_of, sizes_mb
from benchmarks.running.run_file import RUN_FILE, as_counted, seconds_count
from benchmarks.scoring.curves import CurvePoint, curve_files, read_curves
from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.records import RECORDS_FILE, Record, encodable, record_files, records_of
from benchmarks.scoring.scores import SCORES, overlaps_of
from benchmarks.studies.throughput import SUMMARY_FILE
from demo.board.incomplete import gaps
from demo.board.paradigms import paradigm_of
from demo.board.run_shapes import check_report
from demo.board.stored_report import CONVENTION, stored_report
from demo.board.throughput import read_throughput
from demo.html import and_list

log = logging.getLogger(__name__)

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
#: The kind of a row that covers all kinds of requests together.
ALL = "all"
#: The backbone's dialogue score, and how mask training changed it; over all questions.
BEFORE = {"dialogue before": "dialogue", "dialogue change": "change"}

#: Facts of a method, from `run.json`.
FACTS = ("hardware", "dtype", "threads", "model", *BUDGET_FIELDS)
#: Columns of numbers that may be unknown.
FIGURES = (
    tuple(f"{name}{bound}" for name in (*SCORES, *BEFORE) for bound in ("", " low", " high"))
    + ("median s", "p90 s", "tokens", "passes", "times stamp", "times stamp low", "times stamp high")
    + ("weights MB", "peak MB")
)  # fmt: skip
ROW_COLUMNS = (
    ("run", "dataset", "data", "split", "kind", "method", "paradigm", "precision", "n", "questions", "errors")
    + FIGURES
    + ("phases", *FACTS, "note", "commit", "date", "seed", "seconds count")
)
SAMPLE_COLUMNS = (
    ("run", "dataset", "split", "kind", "sample", "prompt", "method", "paradigm", "precision", "hardware", "status")
    + ("iou", "correct", "total_s", "tokens", "passes")
)  # fmt: skip

Problems = tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One folder. report: as `benchmarks.reporting.report.make_report` gives it. records: as they count there."""

    name: str
    records: tuple[Record, ...]
    report: dict[str, Any]

    @property
    def about(self) -> dict[str, Any] | None:
        """What it was measured with."""
        about: dict[str, Any] | None = self.report["run"]
        return about

    def of_method(self, label: str, name: str) -> Any:
        """One fact of a method's provenance; None where it is unknown."""
        return None if self.about is None else self.about["methods"].get(label, {}).get(name)


@dataclass(frozen=True)
class Results:
    """All runs of a folder. problems: what could not be read, in words for visitors.

    throughput: content of `throughput.json`. curves: of the checkpoints in `assets/`.
    version: another for each reading. views: what the page has made of them, kept as long as they are.
    """

    runs: tuple[Run, ...] = ()
    problems: Problems = ()
    throughput: dict[str, Any] | None = None
    curves: tuple[CurvePoint, ...] = ()
    version: int = field(default_factory=count().__next__)
    views: dict[Any, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row for each run, split, method and kind, and those of the kind "all"; NaN where unknown."""
        rows = pd.DataFrame([row for run in self.runs for row in _rows(run)], columns=list(ROW_COLUMNS))
        return rows.astype(dict.fromkeys(FIGURES, float))  # if all are unknown, pandas would keep None

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row for each record; iou and correct are None where they do not apply."""
        return pd.DataFrame([row for run in self.runs for row in _samples(run)], columns=list(SAMPLE_COLUMNS))

    def run(self, name: str) -> Run | None:
        """The run of that name."""
        return next((run for run in self.runs if run.name == name), None)


def read_results(root: Path) -> Results:
    """Every folder in `root`, or `root` itself, that holds records. Never raises because of their contents."""
    if not root.is_dir():
        return Results(problems=("There is no folder of results; name one with --results.",))
    runs, problems = [], []
    for folder in [root, *sorted(path for path in root.iterdir() if path.is_dir())]:
        name = encodable(folder.name)
        try:
            if not record_files(folder) and not (folder / RECORDS_FILE).exists():
                continue
            run = _read_run(folder)
        except Exception as error:  # whatever a file holds: one bad folder must not hide the others
            log.warning("%s cannot be shown", folder, exc_info=True)
            problems.append(f"{name} cannot be shown: {_plain(error, root)[:200]}")
            continue
        runs.append(run)
        problems += [f"{name}: {problem}; it is left out." for problem in run.report["problems"]]
        if run.about is None:
            problems.append(f"{name} has no {RUN_FILE}: what it was measured with is unknown.")
        elif missing := gaps(run.records, run.about):
            problems.append(f"{name} has {and_list(missing)}.")
    try:
        throughput = read_throughput(root)
    except ValueError as error:
        throughput = None
        problems.append(f"{SUMMARY_FILE} cannot be shown: {error}")
    curves, unread = read_curves(curve_files())
    problems += [f"{problem}; it is left out." for problem in unread]
    return Results(tuple(runs), tuple(problems), throughput, tuple(curves))


def _plain(error: Exception, root: Path) -> str:
    """The message without this machine's paths."""
    return encodable(str(error).replace(f"{root}/", ""))


def _read_run(folder: Path) -> Run:
    records, _ = records_of(folder)
    if not records:
        raise ValueError("no line of its records can be read.")
    report = stored_report(folder, records)
    if report is None:
        report = make_report(folder, CONVENTION)
        check_report(report)
    return Run(encodable(folder.name), tuple(as_counted(records, report["run"])), report)


# -- rows ------------------------------------------------------------------------------------------------------


def _rows(run: Run) -> Iterable[dict[str, Any]]:
    errors = Counter((one.dataset, one.split, one.label, one.kind) for one in run.records if one.status == "error")
    for row in run.report["rows"]:
        shared = _provenance(run, row)
        against = row["against_reference"] or {}
        memory = _memory(run, row)
        yield shared | memory | _figures(row) | _of_backbone(row) | _bounds("times stamp", against.get("times_s")) | {
            "kind": ALL, "n": row["requests_for_masks"], "questions": row["questions"], "errors": row["errors"],
        }  # fmt: skip
        for kind, own in row["kinds"].items():
            asked, scores = own["scores"]["gIoU"], own["scores"]["dialogue"]
            counts = {"n": asked["n"] if asked else 0, "questions": scores["n"] if scores else 0}
            counts["errors"] = errors[row["dataset"], row["split"], row["method"], kind]
            yield shared | memory | _figures(own) | counts | {"kind": kind}


def _of_backbone(row: Mapping[str, Any]) -> dict[str, float | None]:
    found = row["before"] or {}
    bounds = [_bounds(name, found.get(part)) for name, part in BEFORE.items()]
    return {name: value for one in bounds for name, value in one.items()}


def _provenance(run: Run, row: Mapping[str, Any]) -> dict[str, Any]:
    label, about = row["method"], run.about
    facts = {name: run.of_method(label, name) for name in FACTS}
    known: dict[str, Any] = {"data": None, "commit": None, "date": None, "seed": None}
    if about is not None:
        sessions = about["sessions"]
        known = {
            "data": about["dataset"]["sha256"][:12],
            "commit": _joined(commit_of(one) for one in sessions if one.get("commit")),
            "date": _joined(one["date"] for one in sessions if one.get("date")),
            "seed": None if about["config"].get("limit") is None else about["config"]["seed"],  # else it draws nothing
        }
    names = {name: row[name] for name in ("dataset", "split", "method", "precision", "note")}
    known["seconds count"] = seconds_count(about)
    return {"run": run.name, "paradigm": paradigm_of(label).name, **names, **facts, **known}


def _joined(parts: Iterable[str]) -> str | None:
    """Each once, of all sessions of a run."""
    return ", ".join(dict.fromkeys(parts)) or None


def _memory(run: Run, row: Mapping[str, Any]) -> dict[str, float | None]:
    """Megabytes of weights, and at the peak above what was in use before loading, where the run has measured them."""
    found = row.get("memory") or run.of_method(row["method"], "memory") or {}
    return dict(zip(("weights MB", "peak MB"), sizes_mb(found), strict=True))


def _figures(own: Mapping[str, Any]) -> dict[str, Any]:
    """Scores with their bounds, and costs."""
    figures: dict[str, Any] = {}
    for name in SCORES:
        figures |= _bounds(name, own["scores"].get(name))
    cost = own["cost"]
    figures |= {"median s": cost["median_s"], "p90 s": cost["p90_s"]}
    return figures | {
        "tokens": cost["median_tokens"],
        "passes": cost["median_passes"],
        "phases": cost["median_phases_s"],
    }


def _bounds(name: str, score: Mapping[str, Any] | None) -> dict[str, float | None]:
    value, low, high = (None if score is None else score[part] for part in ("value", "low", "high"))
    return {name: value, f"{name} low": low, f"{name} high": high}


# -- samples ---------------------------------------------------------------------------------------------------


def _samples(run: Run) -> Iterable[dict[str, Any]]:
    ious = overlaps_of(run.records).ious(CONVENTIONS[CONVENTION])
    for record, iou in zip(run.records, ious, strict=True):
        yield {
            "run": run.name,
            "dataset": record.dataset,
            "split": record.split,
            "kind": record.kind,
            "sample": record.sample,
            "prompt": record.prompt,
            "method": record.label,
            "paradigm": paradigm_of(record.label).name,
            "precision": record.precision,
            "hardware": run.of_method(record.label, "hardware"),
            "status": record.status,
            "iou": None if record.union is None else float(iou),
            "correct": record.correct,
            "total_s": record.total_s,
            "tokens": record.new_tokens,
            "passes": record.forward_passes,
        }


class ResultStore:
    """The results of a folder, read when first asked for and again when its files have changed."""

    def __init__(self, root: Path = RESULTS):
        self.root = root
        self._lock = threading.Lock()
        self._state: Any = None
        self._results = Results()

    def get(self) -> Results:
        """The results now."""
        with self._lock:
            state = self._files()
            if state != self._state:
                self._results, self._state = read_results(self.root), state
            return self._results

    def _files(self) -> list[tuple[str, int, int]]:
        """Name, time and size of each file that is read. A file may vanish, and a link may lead nowhere."""
        found = [path for pattern in ("*.json*", "*/*.json*") for path in self.root.glob(pattern)]
        state = []
        for path in sorted([*found, *curve_files().values()]):
            with suppress(OSError):
                state.append((str(path), (about := path.stat()).st_mtime_ns, about.st_size))
        return state

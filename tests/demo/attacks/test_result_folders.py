"""A folder of results that is small, half written, or lies never breaks the tab: it is named, the rest is shown."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from benchmarks.datasets import open_dataset
from benchmarks.reporting.report import write_report
from benchmarks.running.processes import Process
from benchmarks.running.run_file import RunConfig
from benchmarks.running.runner import run_benchmark
from demo.board.compare import CHARTS
from demo.board.dashboard import board_view
from demo.board.explorer import UNREADABLE_MASKS, sample_html
from demo.board.export import to_csv
from demo.board.filters import Filters, default_filters
from demo.board.library import Library
from demo.board.results import Results, read_results
from tests.benchmarks.scripted import ScriptedMethod
from tests.benchmarks.tiny import write_scenes
from tests.demo.runs import answer_with, write_run


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(folder of a run, its data)."""
    data = tmp_path_factory.mktemp("data")
    return write_run(tmp_path_factory.mktemp("results") / "good", data), data


def shown(results: Results) -> None:
    """The whole tab can be drawn, and so can every sample's data."""
    page = board_view(results, default_filters(results), [])
    assert {f"{name}_plot" for name, _ in CHARTS} <= set(page)
    for run in results.runs:
        Library({}).of_run(run)


def test_an_honest_run_of_one_sample_is_shown(tmp_path: Path) -> None:
    """Of one picture there is no interval."""
    data, folder = write_scenes(tmp_path / "data", per_split=3), tmp_path / "results" / "one"
    names = ("stamp", "polygon")
    methods = [ScriptedMethod(answer_with(0.5, 10, "<|seg|>"), name) for name in names]
    dataset = open_dataset("scenes", ["known"], data)
    run_benchmark(dataset, methods, RunConfig("scenes", ("known",), names, limit=1), folder, Process(0, 1, "cpu"))
    write_report(folder)
    results = read_results(tmp_path / "results")
    assert results.problems == ()
    assert results.rows["gIoU"].notna().any()
    assert results.rows["gIoU low"].isna().all()
    shown(results)


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """A change of a JSON file of a run's folder."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(change(content)))

    return apply


def without_report(spoil: Callable[[Path], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        spoil(folder)
        (folder / "report.json").unlink()

    return apply


def of_run(**values: Any) -> Callable[[Path], None]:
    """Other values in `run.json`; without the report, which has a copy of it."""
    return without_report(changed("run.json", lambda run: run | values))


def of_config(**values: Any) -> Callable[[Path], None]:
    return without_report(changed("run.json", lambda run: run | {"config": run["config"] | values}))


LIES: dict[str, Callable[[Path], None]] = {
    "methods as a list": of_run(methods=["stamp"]),
    "a method that is no object": of_run(methods={"stamp": 5, "polygon": {}, "patch_text": {}}),
    "config: 5": of_run(config=5),
    "config without splits": of_run(config={"methods": ["stamp"]}),
    "splits as a number": of_config(splits=5),
    "names of methods that are lists": of_config(methods=[["stamp"]]),
    "sessions as a text": of_run(sessions="yesterday"),
    "a session that is a number": of_run(sessions=[3]),
    "dataset: null": of_run(dataset=None),
    "a checksum that is a number": of_run(dataset={"sha256": 7}),
    "run.json as a list": without_report(changed("run.json", lambda _: [1])),
    "run.json as null": without_report(changed("run.json", lambda _: None)),
    "run.json, far too deep": without_report(lambda folder: deep(folder / "run.json")),
    "memory.json as a list": without_report(lambda folder: (folder / "memory.json").write_text("[1]")),
    "memory that is a text": without_report(
        lambda folder: (folder / "memory.json").write_text('{"stamp": {"weights_bytes": "much"}}')
    ),
    "records as a folder": lambda folder: replaced_by_folder(folder / "records.jsonl"),
}


def deep(path: Path) -> None:
    path.write_text("[" * 100_000 + "]" * 100_000)


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("lie", LIES)
def test_a_folder_that_lies_is_named_and_the_rest_is_shown(good: tuple[Path, Path], tmp_path: Path, lie: str) -> None:
    shutil.copytree(good[0], tmp_path / "good")
    shutil.copytree(good[0], tmp_path / "odd")
    LIES[lie](tmp_path / "odd")
    results = read_results(tmp_path)
    assert [run.name for run in results.runs] == ["good"]
    (problem,) = results.problems
    assert problem.startswith("odd cannot be shown")
    assert str(tmp_path) not in problem
    assert len(problem) < 300
    shown(results)


def incomplete(report: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The report with its first row changed; None leaves a field out."""
    row = {name: value for name, value in (report["rows"][0] | values).items() if value != "left out"}
    return report | {"rows": [row, *report["rows"][1:]]}


REPORTS: dict[str, Callable[[Any], Any]] = {
    "no kinds": lambda report: incomplete(report, kinds="left out"),
    "kinds as a list": lambda report: incomplete(report, kinds=[]),
    "no scores": lambda report: incomplete(report, scores={}),
    "a score that is a text": lambda report: incomplete(report, scores={"gIoU": "good"}),
    "a bound that is a text": lambda report: incomplete(
        report, scores=report["rows"][0]["scores"] | {"gIoU": {"value": 0.5, "low": "low", "high": None}}
    ),
    "cost: null": lambda report: incomplete(report, cost=None),
    "phases as a number": lambda report: incomplete(
        report, cost=report["rows"][0]["cost"] | {"median_phases_s": 5}
    ),
    "a phase that is a text": lambda report: incomplete(
        report, cost=report["rows"][0]["cost"] | {"median_phases_s": {"mask": "long"}}
    ),
    "no split": lambda report: incomplete(report, split="left out"),
    "a method that is a number": lambda report: incomplete(report, method=5),
    "another run": lambda report: report | {"run": 5},
}  # fmt: skip


@pytest.mark.parametrize("lie", REPORTS)
def test_a_report_that_lies_is_made_again_from_the_records(good: tuple[Path, Path], tmp_path: Path, lie: str) -> None:
    shutil.copytree(good[0], tmp_path / "odd")
    whole = read_results(tmp_path)
    changed("report.json", REPORTS[lie])(tmp_path / "odd")
    results = read_results(tmp_path)
    assert results.problems == ()
    assert results.rows.drop(columns="phases").equals(whole.rows.drop(columns="phases"))
    shown(results)


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [2_000_000, 2_000_000], "counts": "0"},
        {"size": [2, 2], "counts": "xyz"},
        {"size": [-1, 5], "counts": ""},
        {"size": [], "counts": ""},
    ],
)
def test_a_mask_that_lies_is_a_sentence(good: tuple[Path, Path], tmp_path: Path, mask: dict[str, Any]) -> None:
    shutil.copytree(good[0], tmp_path / "odd")
    lines = (tmp_path / "odd" / "records.jsonl").read_text().splitlines()
    first = json.loads(lines[0]) | {"masks": [mask]}
    (tmp_path / "odd" / "records.jsonl").write_text("\n".join([json.dumps(first), *lines[1:], ""]))
    results = read_results(tmp_path)
    assert results.problems == ()
    key = f"odd/{first['split']}/{first['sample']}"
    assert UNREADABLE_MASKS in unescape(sample_html(results, Library({}), Filters(), key))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "\r=1", "\n=1"])
def test_no_cell_of_the_csv_is_a_formula(good: tuple[Path, Path], text: str) -> None:
    rows = read_results(good[0].parent).rows.assign(method=text, note=text)
    for row in csv.DictReader(io.StringIO(to_csv(rows), newline="")):
        assert row["method"] == row["note"] == "'" + text.replace("\r", " ")
    changes = read_results(good[0].parent).rows.assign(**{"dialogue change": -0.5})
    assert {row["dialogue change"] for row in csv.DictReader(io.StringIO(to_csv(changes)))} == {"-0.5"}

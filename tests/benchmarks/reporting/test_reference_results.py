"""The committed run: nothing is missing, it is about the shipped scenes, and its report is what its records give."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import QuestionSample
from benchmarks.fingerprint import sha256_of
from benchmarks.reporting.report import check_report
from benchmarks.reporting.report_table import interval, markdown, megabytes, number
from benchmarks.running.runner import choose_samples
from benchmarks.scoring.records import records_of

FOLDER = Path(__file__).parents[3] / "benchmarks" / "results" / "scenes"


@pytest.fixture(scope="module")
def about() -> dict[str, Any]:
    run: dict[str, Any] = json.loads((FOLDER / "run.json").read_text())
    return run


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((FOLDER / "report.json").read_text())
    return stored


@pytest.fixture(scope="module")
def readme() -> str:
    return (FOLDER.parent.parent / "README.md").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "scenes",
        "scenes-variants",
        "targets-nano/several",
        *(f"vision-nano/{one}" for one in ("int8", "whole", "quarter")),
    ],
)
def test_the_report_is_that_of_the_records(name: str) -> None:
    assert check_report(FOLDER.parent / name) == []


def test_every_method_answered_every_chosen_sample_of_the_shipped_scenes(about: dict[str, Any]) -> None:
    dataset = open_dataset("scenes", ["all"])
    assert about["dataset"]["sha256"] == sha256_of(dataset.files)
    assert set(about["config"]["methods"]) >= {"stamp", "polygon", "patch_text", "embedding", "backbone"}
    records, problems = records_of(FOLDER)
    assert not problems
    answered = Counter(record.label for record in records if record.status != "error")
    samples = choose_samples(dataset.samples, about["config"]["limit"], about["config"]["seed"])
    questions = sum(isinstance(sample, QuestionSample) for sample in samples)
    expected = {label: questions if label == "backbone" else len(samples) for label in answered}
    assert answered == expected


COLUMNS = (
    *("split", "method", "gIoU", "cIoU", "dialogue before", "dialogue", "change"),
    *("median s", "mask s", "tokens", "passes", "times stamp", "weights MB", "peak MB"),
)


def compact_row(row: dict[str, Any]) -> list[str]:
    """A line of the README's table: a method and split."""
    cost, before = row["cost"], row["before"] or {}
    return [
        row["split"],
        row["method"],
        *(interval(row["scores"][name]) for name in ("gIoU", "cIoU")),
        interval(before.get("dialogue")),
        interval(row["scores"]["dialogue"]),
        interval(before.get("change"), sign="+"),
        number(cost["median_s"]),
        number((cost["median_phases_s"] or {}).get("mask")),
        number(cost["median_tokens"]),
        number(cost["median_passes"]),
        interval((row["against_reference"] or {}).get("times_s"), digits=2),
        *megabytes(row["memory"]),
    ]


def test_the_readme_has_the_figures_of_the_report(report: dict[str, Any], readme: str) -> None:
    rows = [compact_row(row) for row in report["rows"]]
    assert len(rows) >= 15
    assert markdown(COLUMNS, rows, words=2) in readme


def test_the_readme_has_the_ratios_of_the_mask_phase(report: dict[str, Any], readme: str) -> None:
    """Of the split known: what theory expects to be at least 5 and 10 times STAMP's."""
    seconds = {
        row["method"]: row["cost"]["median_phases_s"]["mask"]
        for row in report["rows"]
        if row["split"] == "known" and row["cost"]["median_phases_s"]
    }
    for method in ("polygon", "patch_text"):
        assert f"{seconds[method] / seconds['stamp']:.0f} times (`{method}`)" in readme

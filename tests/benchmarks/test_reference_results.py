"""The committed run: nothing is missing, it is about the shipped scenes, and its report is what its records give."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import QuestionSample
from benchmarks.fingerprint import sha256_of
from benchmarks.records import records_of
from benchmarks.report import check_report
from benchmarks.runner import choose_samples

FOLDER = Path(__file__).parent.parent.parent / "benchmarks" / "results" / "scenes"


@pytest.fixture(scope="module")
def about() -> dict[str, Any]:
    run: dict[str, Any] = json.loads((FOLDER / "run.json").read_text())
    return run


def test_the_report_is_that_of_the_records() -> None:
    assert check_report(FOLDER) == []


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


def test_the_readme_has_the_table_of_the_report() -> None:
    readme = (FOLDER.parent.parent / "README.md").read_text()
    table = re.findall(r"^\| scenes \|.*$", readme, flags=re.MULTILINE)
    assert len(table) > 10
    assert set(table) <= set((FOLDER / "report.md").read_text().splitlines())

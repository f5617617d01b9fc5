"""The documents' tables are made from the records beside them, and they name what is there."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.__main__ import build_parser
from benchmarks.datasets import READERS
from benchmarks.methods import MAKERS
from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.scores import SCORES
from benchmarks.studies.batching import batching_table
from benchmarks.studies.by_heart import by_heart_table
from benchmarks.studies.each_target import targets_of_run
from benchmarks.studies.footprint import footprint_table, read_footprints
from benchmarks.studies.operations import operations_page
from benchmarks.studies.scale import scale_table
from benchmarks.studies.targets import targets_table
from benchmarks.studies.threads import threads_table
from benchmarks.studies.vision import vision_table

ROOT = Path(__file__).parent.parent
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text()


def test_the_footprints_are_those_measured() -> None:
    rows = read_footprints(ROOT / "benchmarks" / "results" / "footprints.jsonl")
    assert footprint_table(rows) in (ROOT / "docs" / "published_checkpoints.md").read_text()


def test_the_seconds_by_threads_are_those_measured() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "threads.json").read_text())
    text = (ROOT / "docs" / "threads.md").read_text()
    assert threads_table(record) in text
    (command,) = re.findall(r"^python -m benchmarks (.*)$", text, flags=re.MULTILINE)
    build_parser().parse_args(command.split())


@pytest.mark.skipif(not (ROOT / "docs" / "operations.md").exists(), reason="the load has not been measured yet")
def test_the_load_of_the_page_is_that_measured() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "operations.json").read_text())
    assert (ROOT / "docs" / "operations.md").read_text() == operations_page(record)


@pytest.mark.parametrize("run", ["speed-2b", "speed-2b-int8"])
def test_the_ratios_to_the_released_algorithm_are_those_measured(run: str) -> None:
    text = (ROOT / "docs" / "published_checkpoints.md").read_text()
    record = json.loads((ROOT / "benchmarks" / "results" / run / "speed.json").read_text())
    for case, phase in (("one_mask", "total"), ("many_masks", "mask")):
        seconds = {method: values[phase] for method, values in record["cases"][case]["median_s"].items()}
        ratio = record["cases"][case]["compared_ratio"]["released"]
        assert ratio == pytest.approx(seconds["released"] / seconds["ours"])
        assert f"| {seconds['ours']:.1f} | {seconds['released']:.1f} | {ratio:.2f} |" in text
    first = record["cases"]["one_mask"]["median_s"]["ours"]["total"]
    assert f"{record['follow_up_over_first']:.2f} of {first:.1f}" in text
    drafts = json.loads((ROOT / "benchmarks" / "results" / "speed-nano" / "speed.json").read_text())["cases"]["drafts"]
    assert f"{drafts['compared_ratio']['token by token']:.2f} times as fast" in text


def test_the_seconds_at_larger_shapes_are_those_measured() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "scale-2b" / "scale.json").read_text())
    assert scale_table(record) in BENCHMARKS


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("targets-*/targets.json")), ids=str)
def test_the_seconds_for_several_targets_are_those_measured(path: Path) -> None:
    assert targets_table(json.loads(path.read_text())) in BENCHMARKS


def test_the_targets_of_requests_for_several_things_are_those_measured() -> None:
    assert targets_of_run(ROOT / "benchmarks" / "results" / "targets-nano" / "several", None) in BENCHMARKS


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks" / "results" / "by-heart").glob("*/by-heart.json")), ids=str
)
def test_what_is_learned_by_heart_is_that_measured(path: Path) -> None:
    record = json.loads(path.read_text())
    *_, row, _, about = by_heart_table(record).splitlines()
    assert row in BENCHMARKS
    assert about.startswith("32 pictures, 400 steps of 8, from nano-backbone;")


def test_the_gain_of_batches_is_that_measured() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "batching" / "batching.json").read_text())
    assert batching_table(record) in BENCHMARKS


def test_the_seconds_with_the_tower_in_int8_are_those_measured() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "vision-2b" / "vision.json").read_text())
    assert vision_table(record) in (ROOT / "docs" / "published_checkpoints.md").read_text()


def test_the_quality_with_the_tower_in_int8_is_that_measured() -> None:
    """In points, of the shipped nano: a run with the tower in int8 minus the model card's run."""
    folders = ("assets/stamp-nano/scenes-val.json", "benchmarks/results/vision-nano/int8/report.json")
    full, int8 = (
        {row["split"]: row["scores"] for row in json.loads((ROOT / path).read_text())["rows"]} for path in folders
    )
    change = {
        (split, name): f"{100 * (int8[split][name]['value'] - full[split][name]['value']):+.2f}"
        for split in full
        for name in ("gIoU", "dialogue")
    }
    words = " ".join((ROOT / "docs" / "published_checkpoints.md").read_text().split())
    masks = [change[split, "gIoU"] for split in ("background", "known", "style")]
    answers = [change[split, "dialogue"] for split in ("background", "known", "style")]
    assert "by {} points on *background*, {} on *known* and {} on *style*".format(*masks) in words
    assert "answers to questions by {}, {} and {}.".format(*answers) in words


def test_what_a_quarter_of_the_pixels_costs_is_that_measured() -> None:
    """Of the shipped nano, on photographs."""
    whole, quarter = (
        json.loads((ROOT / "benchmarks" / "results" / "vision-nano" / name / "report.json").read_text())["rows"][0]
        for name in ("whole", "quarter")
    )
    before, after = (row["scores"]["target gIoU"] for row in (whole, quarter))
    words = " ".join((ROOT / "docs" / "published_checkpoints.md").read_text().split())
    assert f"IoU of {before['value']:.3f} with all pixels and {after['value']:.3f} with a quarter of them" in words
    assert before["n"] == after["n"] == 443
    assert "(443 requests" in words


@pytest.mark.parametrize("name", [*READERS, *MAKERS, *CONVENTIONS])
def test_the_benchmarks_readme_names(name: str) -> None:
    assert f"`{name}`" in BENCHMARKS or f" {name} " in BENCHMARKS


def test_the_benchmarks_readme_explains_every_score() -> None:
    cells = re.findall(r"^\| (.*?) \|", BENCHMARKS, flags=re.MULTILINE)
    assert set(SCORES) <= {name for cell in cells for name in cell.split(", ")}


def test_the_commands_of_the_benchmarks_readme_are_parsed() -> None:
    commands = re.findall(r"^python -m benchmarks (.*?)(?: *#.*)?$", BENCHMARKS, flags=re.MULTILINE)
    assert len(commands) == 22
    for command in commands:
        build_parser().parse_args(command.split())
    named = set(re.findall(r"`python -m benchmarks (\w+)`", BENCHMARKS))
    for command in named:
        assert command in build_parser().format_help()
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", BENCHMARKS)
    assert all((ROOT / "benchmarks" / target).exists() for target in targets)
    assert not re.search(r"(?<![\w.])/(work|home|root|tmp|opt)/", BENCHMARKS)

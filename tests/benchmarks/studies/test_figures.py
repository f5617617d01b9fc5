"""`python -m benchmarks figures`: the card's files come from one finished benchmark, or stay as they are."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import benchmarks.datasets
from benchmarks.__main__ import main
from benchmarks.run_command import RunOptions
from benchmarks.scoring.records import Record, records_of
from benchmarks.studies import figures as figures_module
from benchmarks.studies import refusals
from benchmarks.studies.figures import scores_by_source
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT
from stamp.predictor import StampPredictor
from stamp.training.card import quantization_study, refinement_study
from tests.benchmarks import tiny
from tests.training.photographs import write_jsonl

STALE = '{"of": "an earlier run"}\n'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The nano, with figures of an earlier time."""
    folder = Path(shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "model"))
    (folder / "scenes-val.json").write_text(STALE)
    return folder


@pytest.fixture
def studied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The calls of the card's studies, which are not run; the shipped scenes are two tiny ones."""
    asked: list[tuple[Any, ...]] = []

    def note(name: str) -> Callable[..., str]:
        def call(*given: Any, **named: Any) -> str:
            asked.append((name, *given, *named.values()))
            return name

        return call

    monkeypatch.setattr(figures_module, "ArtLibrary", lambda folder, *_: folder)
    monkeypatch.setattr(quantization_study, "study_checkpoint", note("quantization"))
    monkeypatch.setattr(refinement_study, "study_checkpoint", note("refinement"))
    monkeypatch.setattr(figures_module, "write_card", note("card"))
    scenes = tiny.write_scenes(tmp_path / "scenes", splits=("known", "style", "background"))
    monkeypatch.setattr(benchmarks.datasets, "SCENES_ROOT", scenes)
    monkeypatch.setattr(refusals, "UNSEEN", "acorn almond")
    return asked


def figures(model: Path, out: Path, *more: str) -> int:
    where = ["--model", str(model), "--run", "the-run", "--art", "the-art", "--out", str(out)]
    return main(["figures", *where, "--scenes", "7", "--device", "cpu", *more])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_stopped_benchmark_writes_nothing_into_the_model(
    model: Path, studied: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where a report of an earlier run lies in the folder."""
    before = contents(model)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text(STALE)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StampPredictor, "segment", interrupted)
    assert figures(model, tmp_path / "out") == 130
    assert contents(model) == before
    assert studied == []


@pytest.mark.parametrize("stopped", ["scenes", "photos", "cutouts"])
def test_no_figures_are_written_if_a_benchmark_is_stopped(
    model: Path,
    studied: list[tuple[Any, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped: str,
) -> None:
    before = contents(model)
    ran: list[str] = []

    def run(options: RunOptions) -> int:
        ran.append(options.dataset)
        return 130 if options.dataset == stopped else 0

    monkeypatch.setattr(figures_module, "run_benchmark", run)
    monkeypatch.setattr(figures_module, "write_cutout_set", lambda *_: None)
    monkeypatch.setattr(figures_module, "write_gallery", lambda *_: pytest.fail("the card's files are written"))
    assert figures(model, tmp_path / "out", "--photos", str(tmp_path)) == 130
    order = ["scenes", "photos", "cutouts"]
    assert ran == order[: order.index(stopped) + 1]
    assert contents(model) == before
    assert studied == []


def test_a_benchmark_that_fails_writes_nothing_into_the_model(
    model: Path, studied: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(model)

    def broken(*_: object, **__: object) -> None:
        raise ValueError("The gallery cannot be drawn.")

    monkeypatch.setattr("benchmarks.studies.figures.write_gallery", broken)
    assert figures(model, tmp_path / "out") == 2
    assert contents(model) == before
    assert studied == []


def test_a_finished_benchmark_is_what_the_card_is_written_from(
    model: Path, studied: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert figures(model, out) == 0
    records, problems = records_of(out)
    assert (len(records), problems, {record.method for record in records}) == (12, [], {"stamp"})
    assert {(record.precision, record.split) for record in records} == {
        ("float32", split) for split in ("known", "style", "background")
    }
    assert (model / "scenes-val.json").read_bytes() == (out / "report.json").read_bytes()
    counts = json.loads((model / "refusals.json").read_text())
    assert (counts["unseen"], counts["known"]) == (2, 12)
    assert (model / "worst.webp").read_bytes() != (EMBEDDED_CHECKPOINT / "worst.webp").read_bytes()
    assert studied == [
        ("quantization", model, Path("the-art"), 7, "cpu"),
        ("refinement", model, Path("the-art"), 7, "cpu", model),
        ("card", Path("the-run"), model),
    ]


def test_photographs_with_too_few_things_to_cut_out_have_no_table_of_them(
    model: Path,
    studied: list[tuple[Any, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (model / "cutouts-val.json").write_text(STALE)
    monkeypatch.setattr(figures_module, "calibrate", lambda records: {})
    monkeypatch.chdir(tmp_path)
    assert figures(model, tmp_path / "out", "--photos", str(write_jsonl(tmp_path / "photos"))) == 0
    assert "left out: things cut out of photographs. " in capsys.readouterr().err
    assert not (model / "cutouts-val.json").exists()
    assert json.loads((model / "photos-val.json").read_text())["sources"].keys() == {"images"}
    assert studied


def record(sample: str, intersection: int, no_target: bool = False) -> Record:
    return Record(
        dataset="photos", split="heldout", sample=sample, image=sample, kind="segment", prompt="segment the cat",
        method="stamp", variant="", precision="float32", status="ok", order=0, text="", raw_output="", masks=[],
        intersection=intersection, union=10, predicted=max(intersection, 1), no_target=no_target, correct=None,
    )  # fmt: skip


def test_photographs_are_scored_by_the_folder_they_lie_in() -> None:
    records = [record("zoo/a-segment-0", 5), record("zoo/b-segment-0", 9), record("street/c-segment-0", 2)]
    scores = scores_by_source([*records, record("street/c-segment_absent-0", 0, no_target=True)])
    assert list(scores) == ["street", "zoo"]
    assert scores["zoo"]["target gIoU"]["value"] == pytest.approx(0.7)
    assert scores["zoo"]["target gIoU"]["n"] == 2
    assert scores["street"]["target gIoU"]["value"] == pytest.approx(0.2)
    assert scores["street"]["P@0.5"]["value"] == 0

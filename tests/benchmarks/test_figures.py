"""`python -m benchmarks figures`: the card's files come from one finished benchmark, or stay as they are."""

import json
import shutil
from pathlib import Path

import pytest

import benchmarks.datasets
import stamp.training.__main__
from benchmarks import gallery, refusals
from benchmarks.__main__ import main
from benchmarks.records import records_of
from stamp.predictor import StampPredictor
from stamp.sources import EMBEDDED_CHECKPOINT
from tests.benchmarks import tiny

STALE = '{"of": "an earlier run"}\n'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The nano, with figures of an earlier time."""
    folder = Path(shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "model"))
    (folder / "scenes-val.json").write_text(STALE)
    return folder


@pytest.fixture
def studied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is asked of `python -m stamp.training`, which is not run; the shipped scenes are two tiny ones."""
    asked: list[list[str]] = []
    monkeypatch.setattr(stamp.training.__main__, "main", asked.append)
    scenes = tiny.write_scenes(tmp_path / "scenes", splits=("known", "style", "background"))
    monkeypatch.setattr(benchmarks.datasets, "SCENES_ROOT", scenes)
    monkeypatch.setattr(refusals, "UNSEEN", "acorn almond")
    return asked


def figures(model: Path, out: Path) -> int:
    where = ["--model", str(model), "--run", "the-run", "--art", "the-art", "--out", str(out)]
    return main(["figures", *where, "--scenes", "7", "--device", "cpu"])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_stopped_benchmark_writes_nothing_into_the_model(
    model: Path, studied: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_a_benchmark_that_fails_writes_nothing_into_the_model(
    model: Path, studied: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(model)

    def broken(*_: object, **__: object) -> None:
        raise ValueError("The gallery cannot be drawn.")

    monkeypatch.setattr(gallery, "write_gallery", broken)
    assert figures(model, tmp_path / "out") == 2
    assert contents(model) == before
    assert studied == []


def test_a_finished_benchmark_is_what_the_card_is_written_from(
    model: Path, studied: list[list[str]], tmp_path: Path
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
    where = ["--model", str(model), "--art", "the-art"]
    assert studied == [
        ["quantization", *where, "--device", "cpu", "--scenes", "7"],
        ["refinement", *where, "--device", "cpu", "--scenes", "7", "--out", str(model)],
        ["card", *where, "--run", "the-run"],
    ]

"""`python -m benchmarks run`, with the real nano on tiny datasets: alone, gone on, in two processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.checkpoints import MethodOptions
from benchmarks.methods import MAKERS, load_methods, method_labels
from benchmarks.reporting.report import check_report
from benchmarks.scoring.records import Record, records_of
from stamp.checkpoints.load_options import LoadOptions
from stamp.inference.answer import PHASES
from stamp.pictures.masks import decode_rle
from stamp.predictor import StampPredictor
from tests.benchmarks import tiny

ROOT = Path(__file__).parent.parent.parent
NANO = ["--methods", "stamp", "--model", "nano", "--device", "cpu", "--dtype", "float32", "--max-new-tokens", "24"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As many as each of two processes has: sums in another order may move a pixel."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_scenes(tmp_path_factory.mktemp("scenes"), per_split=2, splits=("known", "style"))


def arguments(scenes: Path, out: Path, *more: str) -> list[str]:
    """Without the pass for memory, which starts a process for each method; a later argument brings it back."""
    where = ["--dataset", "scenes", "--root", str(scenes), "--out", str(out), "--no-memory"]
    return ["run", *where, "--split", "known", "style", *more]


@pytest.fixture(scope="module")
def out(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "alone"
    assert main(arguments(scenes, out, *NANO, "--limit", "3", "--methods", "stamp", "stamp:none")) == 0
    return out


def test_the_folder_of_a_run(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == ["records.jsonl", "report.json", "report.md", "run.json"]
    records, problems = records_of(out)
    assert problems == []
    assert [record.label for record in records] == ["stamp", "stamp:none"] * 6
    assert {record.status for record in records} <= {"ok", "invalid"}
    assert check_report(out) == []
    report = json.loads((out / "report.json").read_text())
    assert [(row["split"], row["method"]) for row in report["rows"]] == [
        ("known", "stamp"),
        ("known", "stamp:none"),
        ("style", "stamp"),
        ("style", "stamp:none"),
    ]
    assert report["rows"][1]["against_reference"]["times_s"]["value"] > 0
    about = json.loads((out / "run.json").read_text())["methods"]
    assert [one["refine"] for one in about.values()] == ["grabcut", "none"]
    for one in about.values():
        assert (one["model"], one["parameters"], one["dtype"], one["max_new_tokens"]) == (
            "nano",
            8_488_209,
            "float32",
            24,
        )
        assert len(one["checkpoint_sha256"]) == 64
        assert {"hardware", "threads", "torch", "transformers", "python"} <= set(one)


def test_records_say_what_the_predictor_says(out: Path, scenes: Path) -> None:
    predictor = StampPredictor.load(LoadOptions(device="cpu", dtype="float32", drafts=False))  # as in the benchmark
    lines = [json.loads(line) for line in (scenes / "scenes.jsonl").read_text().splitlines()]
    images = {Path(line["image"]).name: scenes / line["image"] for line in lines}
    for record in records_of(out)[0]:
        refine = record.variant or "auto"
        result = predictor.segment(images[record.image], record.prompt, 24, refine=refine)
        assert (record.text, record.raw_output) == (result.text, result.response)
        assert (record.new_tokens, record.forward_passes) == (result.new_tokens, result.forward_passes)
        assert len(record.masks) == len(result.masks)
        for code, mask in zip(record.masks, result.masks, strict=True):
            np.testing.assert_array_equal(decode_rle(code), mask)
        assert set(record.phases_s) == set(PHASES)
        assert record.precision == "float32"
        assert record.total_s is not None
        assert record.total_s >= sum(record.phases_s.values())


def test_a_finished_run_is_not_measured_again(out: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (out / "records.jsonl").read_bytes()
    monkeypatch.setattr(StampPredictor, "segment", None)  # would fail if it were called
    assert main(arguments(scenes, out, *NANO, "--limit", "3", "--methods", "stamp", "stamp:none")) == 0
    assert (out / "records.jsonl").read_bytes() == before


def test_ctrl_c_is_not_an_error(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, calls = StampPredictor.segment, []

    def segment(self: StampPredictor, *given: object, **named: object) -> object:
        calls.append(given)
        if len(calls) > 4 + 2:  # a warm-up of each kind, and two answers
            raise KeyboardInterrupt
        return whole(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(StampPredictor, "segment", segment)
    assert main(arguments(scenes, tmp_path / "out", *NANO)) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"stopped; the results so far are in {tmp_path / 'out'}")
    assert len(records_of(tmp_path / "out")[0]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--dataset", "coco"], "no dataset 'coco'"),
        (["--split", "val"], "scenes has no split 'val'"),
        (["--root", "nowhere"], "no scenes.jsonl of the dataset scenes"),
        (["--methods", "polygons"], "no method 'polygons'"),
        (["--methods", "stamp", "stamp"], "'stamp' is named twice"),
        (["--methods", "stamp:fast"], "stamp has no variant 'fast'"),
        (["--limit", "0"], "limit must be at least 1, got 0"),
        (["--refine", "magic"], "refine must be one of"),
        (["--methods", "backbone", "--backbone-model", "no/such/folder/here"], "no/such/folder/here"),
        (["--model", "no/such/folder/here"], "no/such/folder/here"),
    ],
)
def test_bad_input_is_one_sentence(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    assert main(arguments(scenes, tmp_path / "out", *NANO, *change)) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "write", "samples"),
    [
        ("refcoco+", lambda root: tiny.write_refer(root, "refcoco+"), 3),
        ("grefcoco", lambda root: tiny.write_refer(root, "grefcoco"), 3),
        ("reasonseg", tiny.write_reasonseg, 2),
    ],
)
def test_public_datasets_from_a_folder(tmp_path: Path, name: str, write: Callable[[Path], Path], samples: int) -> None:
    out = tmp_path / "out"
    chosen = ["--dataset", name, "--root", str(write(tmp_path / "data")), "--split", "val"]
    assert main(["run", *chosen, "--out", str(out), "--no-memory", *NANO]) == 0
    (row,) = json.loads((out / "report.json").read_text())["rows"]
    assert (row["dataset"], row["split"], row["requests_for_masks"], row["errors"]) == (name, "val", samples, 0)
    assert row["scores"]["gIoU"]["n"] == samples
    assert (row["scores"]["N-acc"] is None) == (name != "grefcoco")


def test_variants_are_options_of_the_predictor() -> None:
    options = MethodOptions(LoadOptions(device="cpu"), max_new_tokens=24)
    assert method_labels(["all"]) == tuple(MAKERS)
    assert method_labels(["all"], absent=["backbone"]) == tuple(name for name in MAKERS if name != "backbone")
    labels = method_labels(["stamp:float32", "stamp:bfloat16+none"])
    first, second = load_methods(labels, options)
    assert (first.precision, first.provenance()["refine"], first.variant) == ("float32", "grabcut", "float32")
    assert (second.precision, second.provenance()["refine"], second.variant) == ("bfloat16", "none", "bfloat16+none")
    assert first.device.type == "cpu"


def without_times(record: Record) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in ("total_s", "phases_s", "order")}


def test_two_processes_give_the_scores_of_one(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert main(arguments(scenes, alone, *NANO)) == 0
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    command = [sys.executable, *launcher, "-m", "benchmarks", *arguments(scenes, together, *NANO)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stderr
    assert json.loads((together / "run.json").read_text())["config"]["processes"] == 2
    assert sorted(path.name for path in together.iterdir()) == sorted(path.name for path in alone.iterdir())
    ours, theirs = records_of(alone)[0], records_of(together)[0]
    assert len(ours) == 16
    assert [without_times(record) for record in ours] == [without_times(record) for record in theirs]
    capsys.readouterr()
    assert main(["compare", str(alone), str(together)]) == 0
    assert "| gIoU |" in capsys.readouterr().out

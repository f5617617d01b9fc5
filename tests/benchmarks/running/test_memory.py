"""Memory of the methods: real processes, each with the nano. No assertion on an amount but what must hold."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.checkpoints import MethodOptions
from benchmarks.datasets import open_dataset
from benchmarks.methods import TalksOnly
from benchmarks.provenance import weights_bytes
from benchmarks.running import memory
from benchmarks.running.memory import MEMORY_FILE, Memory, measure_memory, one_of_each_kind, read_memory
from stamp.checkpoints.load_options import LoadOptions
from stamp.predictor import StampPredictor
from tests.benchmarks import tiny
from tests.benchmarks.nano import named_checkpoints, write_embedding, write_writer
from tests.benchmarks.scripted import ScriptedMethod

NANO = ["--device", "cpu", "--dtype", "float32", "--max-new-tokens", "16"]


@pytest.fixture
def options() -> MethodOptions:
    return MethodOptions(LoadOptions(device="cpu", dtype="float32"), max_new_tokens=16)


def test_a_run_measures_memory_behind_the_records(tmp_path: Path) -> None:
    scenes, out = tiny.write_scenes(tmp_path / "scenes", splits=("known",)), tmp_path / "out"
    where = ["--dataset", "scenes", "--root", str(scenes), "--split", "known", "--out", str(out)]
    folders = {"patch_text": write_writer(tmp_path / "words"), "embedding": write_embedding(tmp_path / "embedding")}
    labels = ["embedding", "patch_text", "stamp:bfloat16"]
    assert main(["run", *where, *NANO, *named_checkpoints(folders), "--methods", *labels]) == 0
    rows = {label: Memory(**row) for label, row in read_memory(out).items()}
    assert list(rows) == labels
    about = json.loads((out / "run.json").read_text())["methods"]
    weights = {label: row.weights_bytes for label, row in rows.items()}
    assert weights["stamp:bfloat16"] == 2 * 8_488_209
    assert [weights[label] for label in labels[:2]] == [4 * about[label]["parameters"] for label in labels[:2]]
    assert (weights["embedding"] or 0) > (weights["patch_text"] or 0)
    for row in rows.values():
        assert (row.device, row.answers, row.error) == ("cpu", 4, None)
        assert row.before_bytes is not None
        assert row.load_peak_bytes is not None
        assert row.resident_bytes is not None
        assert row.peak_bytes is not None
        assert 0 < row.before_bytes < row.resident_bytes <= row.peak_bytes
        assert row.load_peak_bytes <= row.peak_bytes
    report = json.loads((out / "report.json").read_text())
    assert [row["memory"] for row in report["rows"]] == [asdict(row) for row in rows.values()]


def test_what_is_known_is_not_measured_again(
    tmp_path: Path, options: MethodOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def pretend(label: str, *_: Any) -> Memory:
        started.append(label)
        return Memory(peak_bytes=len(started)) if label != "b" else Memory(error="no")

    monkeypatch.setattr(memory, "_in_new_process", pretend)
    measure_memory(tmp_path, {"a": [], "b": []}, options)
    measure_memory(tmp_path, {"a": [], "b": [], "c": []}, options)
    assert started == ["a", "b", "c"]
    measure_memory(tmp_path, {"a": [], "b": [], "c": []}, options, retry=True)
    assert started == ["a", "b", "c", "b"]
    assert [row["peak_bytes"] for row in read_memory(tmp_path).values()] == [1, None, 3]


def test_a_failure_is_unknown_and_says_why(tmp_path: Path, options: MethodOptions) -> None:
    measure_memory(tmp_path, {"stamp": [(tmp_path / "missing.png", "segment the circle")]}, options)
    (row,) = read_memory(tmp_path).values()
    assert (row["peak_bytes"], row["weights_bytes"], row["answers"]) == (None, None, 0)
    assert row["error"].startswith("ImageError: ")
    (tmp_path / MEMORY_FILE).write_text("[]")
    with pytest.raises(ValueError, match=r"memory\.json cannot be read.*delete it"):
        read_memory(tmp_path)


def test_one_request_of_each_kind(tmp_path: Path) -> None:
    samples = open_dataset("scenes", ["known"], tiny.write_scenes(tmp_path, 2, ("known",))).samples
    first = [(sample.image, f"{sample.prompt}!") for sample in samples[:4]]
    assert one_of_each_kind(samples, ScriptedMethod()) == first

    class Talking(TalksOnly, ScriptedMethod):
        pass

    assert one_of_each_kind(samples, Talking()) == first[2:]


def test_bytes_of_tensors() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(3, 5, dtype=torch.bfloat16))
    assert weights_bytes(model) == 4 * 20 + 2 * 20
    model[1] = model[0]  # tied
    assert weights_bytes(model) == 4 * 20
    nf4 = StampPredictor.from_pretrained(device="cpu", quantization="nf4").model
    packed = sum(parameter.nbytes for parameter in nf4.parameters())
    assert packed < weights_bytes(nf4) < 1.02 * packed  # and the constants of the blocks

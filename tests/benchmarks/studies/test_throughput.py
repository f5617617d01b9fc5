"""`python -m benchmarks throughput`: what is in flight, files, arithmetic. No assertion on a time."""

import json
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.checkpoints import MethodOptions
from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import MaskSample
from benchmarks.methods import Prediction, load_methods
from benchmarks.studies import throughput
from benchmarks.studies.throughput import (
    Row,
    ThroughputConfig,
    labels_to_measure,
    measure_all,
    measure_block,
    run_throughput,
    summarise,
    throughput_table,
)
from stamp.checkpoints.load_options import LoadOptions
from tests.benchmarks import tiny
from tests.benchmarks.scripted import ScriptedMethod, answer

OPTIONS = MethodOptions(LoadOptions("nano", device="cpu", dtype="float32"), max_new_tokens=24)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_scenes(tmp_path_factory.mktemp("scenes"), per_split=2)


class Watched(ScriptedMethod):
    """Counts how many of its answers are being given at once; waits until `wanted` are."""

    def __init__(self, name: str, wanted: int = 1, log: list[tuple[str, str]] | None = None):
        super().__init__(self.count, name, log=log)
        self.lock, self.now, self.most = threading.Lock(), 0, 0
        self.together = threading.Barrier(wanted, timeout=60)

    def count(self, image: Image.Image, prompt: str) -> Prediction:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.together.wait()
        with self.lock:
            self.now -= 1
        return answer(masks=np.zeros((1, image.height, image.width), dtype=bool))


def requests(number: int) -> list[tuple[Image.Image, str]]:
    return [(Image.new("RGB", (64, 48)), f"segment {index}") for index in range(number)]


@pytest.mark.parametrize("in_flight", [1, 8])
def test_so_many_requests_are_in_flight_and_never_more(in_flight: int) -> None:
    """With 8, none could end alone; with 1, none waits for another."""
    method = Watched("watched", in_flight)
    seconds, errors = measure_block(method, requests(16), in_flight)
    assert (method.most, errors) == (in_flight, ())
    assert seconds > 0
    assert sorted(prompt for _, prompt in method.log) == sorted(prompt for _, prompt in requests(16))


def test_seconds_are_those_of_the_whole_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a clock that an answer advances by one: 5 answers one by one take 5."""
    clock = [0.0]

    def script(image: Image.Image, _: str) -> Prediction:
        clock[0] += 1
        return answer(masks=np.zeros((0, image.height, image.width), dtype=bool))

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    assert measure_block(ScriptedMethod(script), requests(5), 1) == (5.0, ())


def test_a_request_without_an_answer_is_named_and_the_others_go_on(scenes: Path) -> None:
    def script(image: Image.Image, prompt: str) -> Prediction:
        if "boat" in prompt:
            raise RuntimeError("no boats")
        return answer(masks=np.zeros((0, image.height, image.width), dtype=bool))

    samples = [one for one in open_dataset("scenes", ["known"], scenes).samples if isinstance(one, MaskSample)]
    rows = list(measure_all({"x": ScriptedMethod(script, "x")}, samples, 1))
    assert [(row.answers, row.errors) for row in rows] == [(2, ("RuntimeError: no boats",) * 2)] * 2


def test_rounds_go_back_and_forth_over_all_methods(scenes: Path) -> None:
    samples = [one for one in open_dataset("scenes", ["all"], scenes).samples if isinstance(one, MaskSample)]
    rows = list(measure_all({label: ScriptedMethod(name=label) for label in "ab"}, samples, 3))
    there = [("a", 1), ("a", 8), ("b", 1), ("b", 8)]
    assert [(row.method, row.in_flight) for row in rows] == [*there, *there[::-1], *there]
    assert [row.round for row in rows] == [number for number in range(3) for _ in there]
    assert {row.answers for row in rows} == {len(samples)} == {12}


ROWS = [
    Row("a", 1, 0, 10, 5.0), Row("a", 8, 0, 10, 2.5),  # 2 and 4 a second
    Row("a", 8, 1, 10, 2.0), Row("a", 1, 1, 10, 10.0),  # 5 and 1
    Row("a", 1, 2, 10, 2.5), Row("a", 8, 2, 9, 3.0, ("E: x",)),  # 4 and 3
    Row("b", 1, 0, 0, 5.0, ("E: y",) * 10), Row("b", 8, 0, 10, 5.0),
]  # fmt: skip


def test_summary_by_hand() -> None:
    summary = summarise(ROWS)
    assert summary["a"] == {
        "answers_per_s": {
            "1": {"median": 2.0, "least": 1.0, "most": 4.0},
            "8": {"median": 4.0, "least": 3.0, "most": 5.0},
        },
        "ratio": {"median": 2.0, "least": 0.75, "most": 5.0},
        "errors": 1,
    }
    assert summary["b"]["ratio"] == {"median": None, "least": None, "most": None}
    assert summary["b"]["errors"] == 10
    about = {
        "n": 3, "samples": 10, "hardware": "a machine", "dtype": "float32", "threads": 1, "date": "2026-01-02",
        "commit": "abc", "uncommitted_changes": False, "busy_before": 0.02,
    }  # fmt: skip
    methods = {label: one | {"precision": "float32"} for label, one in summary.items()}
    assert throughput_table({"provenance": about, "methods": methods}).splitlines() == [
        "| method | precision | answers/s, 1 in flight | answers/s, 8 in flight | 8 over 1 | errors |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| a | float32 | 2 [1, 4] | 4 [3, 5] | 2 [0.75, 5] | 1 |",
        "| b | float32 | 0 [0, 0] | 2 [2, 2] | – [–, –] | 10 |",
        "",
        "In brackets: least and most of the rounds. 3 rounds of 10 requests; a machine, float32, 1 thread; 2026-01-02, "
        "commit abc. The machine was otherwise idle (2% in use before).",
    ]


def test_files(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real nano in place of two methods, on twelve requests."""
    monkeypatch.setattr(psutil, "cpu_percent", lambda _: 31.0)
    chosen = ["--methods", "stamp:none", "stamp_nano:none", "--model", "nano", "--rounds", "1", "--limit", "3"]
    quick = ["--device", "cpu", "--dtype", "float32", "--max-new-tokens", "8", "--root", str(scenes)]
    out = tmp_path / "new"
    assert main(["throughput", *chosen, *quick, "--out", str(out)]) == 0
    record = json.loads((out / "throughput.json").read_text())
    rows = [Row(**json.loads(line)) for line in (out / "throughput.jsonl").read_text().splitlines()]
    assert [(row.method, row.in_flight, row.answers) for row in rows] == [
        (label, many, 9) for label in ("stamp:none", "stamp_nano:none") for many in (1, 8)
    ]
    assert not any(row.errors for row in rows)
    for label, summary in summarise(rows).items():
        assert summary.items() <= record["methods"][label].items()
        assert (record["methods"][label]["precision"], record["methods"][label]["refine"]) == ("float32", "none")
    about = record["provenance"]
    assert (about["n"], about["samples"], about["busy_before"], about["dtype"]) == (1, 9, 0.31, "float32")
    assert about["config"] == asdict(ThroughputConfig(("stamp:none", "stamp_nano:none"), 3, 0, 1)) | {
        "methods": ["stamp:none", "stamp_nano:none"]
    }
    assert {"hardware", "threads", "commit", "date"} <= set(about)
    assert throughput_table(record) in capsys.readouterr().out


def test_answers_in_flight_are_those_of_one_at_a_time(scenes: Path) -> None:
    """Otherwise more answers a second would mean nothing."""
    (method,) = load_methods(["stamp"], OPTIONS)
    samples = [one for one in open_dataset("scenes", ["all"], scenes).samples if isinstance(one, MaskSample)][:8]
    asked = [(one.load_image(), method.prompt(one)) for one in samples]
    alone = {prompt + str(id(image)): method.predict(image, prompt) for image, prompt in asked}
    found: dict[str, Prediction] = {}

    class Kept(ScriptedMethod):
        def predict(self, image: Image.Image, prompt: str) -> Prediction:
            prediction = method.predict(image, prompt)
            found[prompt + str(id(image))] = prediction
            return prediction

    assert measure_block(Kept(), asked, 8)[1] == ()
    assert found.keys() == alone.keys()
    for key, prediction in found.items():
        assert (prediction.raw_output, prediction.new_tokens) == (alone[key].raw_output, alone[key].new_tokens)
        np.testing.assert_array_equal(prediction.masks, alone[key].masks)


def test_what_cannot_be_measured_is_said(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.methods.load_methods", None)  # before anything is loaded
    assert labels_to_measure(["stamp", "polygon:published"], OPTIONS) == ("stamp", "polygon:published")
    assert "backbone" not in labels_to_measure(["all"], OPTIONS)
    assert "left out: backbone. It draws no masks.\n" in capsys.readouterr().err
    with pytest.raises(ValueError, match="backbone:int8 draws no masks"):
        labels_to_measure(["stamp", "backbone:int8"], OPTIONS)
    with pytest.raises(ValueError, match="There is no method 'stomp'"):
        labels_to_measure(["stomp"], OPTIONS)
    with pytest.raises(ValueError, match="6 samples cannot be 8 requests in flight; choose a larger --limit"):
        run_throughput(ThroughputConfig(("stamp",), limit=2), OPTIONS, tmp_path, scenes)
    wrong: list[dict[str, Any]] = [{"limit": 0}, {"rounds": 0}, {"seed": -1}]
    for one in wrong:
        with pytest.raises(ValueError, match="must be at least"):
            ThroughputConfig(("stamp",), **one)
    assert not any(tmp_path.iterdir())
    assert throughput.IN_FLIGHT == (1, 8)

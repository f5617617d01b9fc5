"""Run folders for tests: written by the benchmark itself, from methods that follow a script."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.datasets import open_dataset
from benchmarks.methods import Prediction
from benchmarks.reporting.report import write_report
from benchmarks.running.processes import Process
from benchmarks.running.run_file import RunConfig
from benchmarks.running.runner import run_benchmark
from tests.benchmarks.scripted import ScriptedMethod
from tests.benchmarks.tiny import write_scenes

POLYGON_TEXT = "Here it is: <x0><y0><x31><y0><x31><y31><close>"


def answer_with(share: float, tokens: int, raw: str) -> Any:
    """A script: masks of the leftmost `share` of the picture's columns, and `raw` as what was written."""

    def script(image: Image.Image, prompt: str) -> Prediction:
        mask = np.zeros((1, image.height, image.width), dtype=bool)
        mask[:, :, : round(share * image.width)] = True
        words = "one" if "How many" in prompt else "no"
        extra = len(prompt)
        return Prediction(words, raw, mask, tokens + extra, 3, True, {"prefill": 0.01, "decode": 0.02})

    return script


def write_run(folder: Path, data: Path, names: tuple[str, ...] = ("stamp", "polygon", "patch_text")) -> Path:
    """A run of scripted methods over tiny scenes, with its report. Returns the folder of the run."""
    write_scenes(data, per_split=3)
    raws = {"polygon": POLYGON_TEXT, "patch_text": "<row1><4-15>"}
    methods = [
        ScriptedMethod(answer_with(0.3 + 0.2 * index, 10 + 50 * index, raws.get(name, "<|seg|>")), name)
        for index, name in enumerate(names)
    ]
    for method in methods:
        method.about |= {"hardware": "a test machine", "threads": 1, "dtype": "float32"}
    dataset = open_dataset("scenes", ["all"], data)
    config = RunConfig("scenes", dataset.splits, names)
    run_benchmark(dataset, methods, config, folder, Process(0, 1, "cpu"))
    write_report(folder)
    return folder


def spoil_line(folder: Path) -> None:
    """Break the second line of a run's records."""
    path = folder / "records.jsonl"
    lines = path.read_text().split("\n")
    path.write_text("\n".join([lines[0], lines[1][:40], *lines[2:]]))


def report_of(folder: Path) -> dict[str, Any]:
    """A run's stored report."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report

"""Measures the effect of quantization: the evaluation in each mode, and the time per answer."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from stamp.checkpoints.load_options import LoadOptions
from stamp.predictor import StampPredictor
from stamp.training.card.evaluate import Row, evaluate, provenance_of_study, scores, validation_scenes
from stamp.training.scenes.art import ArtLibrary

RECORD_FILE = "quantization.json"
MODES = ("none", "int8", "nf4")
#: Answers of each mode that are timed, in turns.
ROUNDS = 10

Scores = dict[str, dict[str, float]]


def study_checkpoint(folder: Path, art: ArtLibrary, n_scenes: int, device: str) -> str:
    """Measure each mode of a checkpoint, write the record into its folder, and return the table."""
    loaded = {mode: StampPredictor.load(LoadOptions(folder, device=device, quantization=mode)) for mode in MODES}
    by_mode = study(loaded, lambda predictor: evaluate(predictor, art, n_scenes))
    scene = next(iter(validation_scenes(art, 1)))
    picture, request = Image.fromarray(scene.image), f"segment the {scene.objects[0].noun.name}"
    seconds = processor_seconds({mode: partial(one.segment, picture, request) for mode, one in loaded.items()})
    return write_study(by_mode, seconds, provenance_of_study(loaded["none"], art, n_scenes), folder)


def study(
    predictors: Mapping[str, StampPredictor], run: Callable[[StampPredictor], Sequence[Row]]
) -> dict[str, Scores]:
    """Scores of each mode. run: a predictor's rows on unseen scenes."""
    return {mode: scores(run(predictor)) for mode, predictor in predictors.items()}


def processor_seconds(answers: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median processor time of an answer in each mode, in seconds; they take turns, so that all meet the same noise."""
    taken: dict[str, list[float]] = {mode: [] for mode in answers}
    for _ in range(ROUNDS):
        for mode, answer in answers.items():
            began = time.process_time()
            answer()
            taken[mode].append(time.process_time() - began)
    return {mode: median(values) for mode, values in taken.items()}


def write_study(by_mode: dict[str, Scores], seconds: dict[str, float], provenance: dict[str, Any], folder: Path) -> str:
    """Write the record into a checkpoint folder; returns its table."""
    record = {"provenance": provenance, "processor_seconds": seconds, "scores": by_mode}
    (folder / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n")
    return quantization_table(record)


def quantization_table(record: dict[str, Any]) -> str:
    """Markdown rows: mean per kind of question and mode, and the time of an answer relative to no quantization."""
    kinds, seconds = list(record["scores"]["none"]), record["processor_seconds"]
    lines = [f"| | {' | '.join(kinds)} | time of an answer |", "|---|" + "---:|" * (len(kinds) + 1)]
    for mode in MODES:
        means = [f"{record['scores'][mode][kind]['mean']:.3f}" for kind in kinds]
        lines.append(f"| {mode} | {' | '.join(means)} | {seconds[mode] / seconds['none']:.2f} |")
    return "\n".join(lines)

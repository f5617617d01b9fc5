"""What quantization costs a checkpoint: its evaluation in bfloat16, int8 and nf4, and the mode for "auto"."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.quantization import AUTO_FILE
from stamp.predictor import StampPredictor
from stamp.training.card.evaluate import Row, evaluate, provenance_of_study, scores
from stamp.training.scenes.art import ArtLibrary

#: Modes by memory, smallest first.
MODES = ("nf4", "int8", "none")
#: Mean mask IoU that "auto" may lose against bfloat16.
MOST_LOST = 0.01

Scores = dict[str, dict[str, float]]


def study_checkpoint(folder: Path, art: ArtLibrary, n_scenes: int, device: str) -> str:
    """Measure each mode of a checkpoint, write the record into its folder, and return the table."""

    def load(mode: str) -> StampPredictor:
        return StampPredictor.load(LoadOptions(folder, device=device, dtype="bfloat16", quantization=mode))

    reference = load("none")
    by_mode = study(
        lambda mode: reference if mode == "none" else load(mode),
        lambda predictor: evaluate(predictor, art, n_scenes),
    )
    return write_study(by_mode, provenance_of_study(reference, art, n_scenes), folder)


def study(load: Callable[[str], StampPredictor], run: Callable[[StampPredictor], Sequence[Row]]) -> dict[str, Scores]:
    """Scores of each mode. load: makes a predictor in a mode, "none" is bfloat16; run: its rows on unseen scenes."""
    return {mode: scores(run(load(mode))) for mode in MODES}


def best_mode(by_mode: dict[str, Scores]) -> str:
    """The smallest mode that loses less than MOST_LOST of the mask IoU; "none" if both lose more."""
    reference = by_mode["none"]["segment"]["mean"]
    return next(mode for mode in MODES if reference - by_mode[mode]["segment"]["mean"] < MOST_LOST)


def write_study(by_mode: dict[str, Scores], provenance: dict[str, Any], folder: Path) -> str:
    """Write the file for `--quantization auto` into a checkpoint folder; returns its table."""
    record = {"auto": best_mode(by_mode), "provenance": provenance, "scores": by_mode}
    (folder / AUTO_FILE).write_text(json.dumps(record, indent=1) + "\n")
    return quantization_table(record)


def quantization_table(record: dict[str, Any]) -> str:
    """Markdown rows: mean per kind of question and mode."""
    kinds = list(record["scores"]["none"])
    lines = [f"| | {' | '.join(kinds)} |", "|---|" + "---:|" * len(kinds)]
    for mode in reversed(MODES):
        means = [f"{record['scores'][mode][kind]['mean']:.3f}" for kind in kinds]
        lines.append(f"| {'bfloat16' if mode == 'none' else mode} | {' | '.join(means)} |")
    return "\n".join(lines)

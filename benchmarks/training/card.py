"""The card of a trained method, always written from the files next to it, never by hand."""

import json
from pathlib import Path
from typing import Any

from benchmarks.budget import SWEEP_FILE, TRAINING_FILE

FIGURES_FILE, ROWS_FILE = "figures.json", "figures.jsonl"

KINDS = {
    "stamp": "STAMP's own all-mask prediction: `<|seg|>`, then one logit per grid cell, all in one pass.",
    "polygon": "Masks as polygons written in the answer, after SimpleSeg: corners of outer contours, 0 to 99.",
    "patch_text": "Masks as run lengths of patch labels written in the answer, after Text4Seg: 16 rows of 16 patches.",
    "embedding": "Masks from the hidden state of `<|seg|>`, which prompts a small SAM mask decoder, after LISA.",
}

TEXT = """---
license: mit
library_name: transformers
tags: [{method}, qwen2_vl, referring-expression-segmentation]
---

# nano, method `{method}`

{kind}

One of the four methods that `benchmarks/` compares. All start from the same backbone (`{backbone}`) and see the same
scenes, requests and questions for the same number of steps; they differ only in how the model produces a mask. It was
trained on drawn scenes only and does not understand photographs.

## Figures

Mean IoU of "segment the NOUN" on {n} unseen scenes: **{giou}**; {invalid} answers were unusable and count
as 0. The rows are in `figures.jsonl`. This only shows that the training worked; `python -m benchmarks run` compares.

## Training

{steps} steps of {images} pictures on a grid of about {grid} x {grid} cells at rate {rate:g} ({vision_rate:g} for the
vision tower), {minutes:.0f} minutes on {hardware}, {precision}, commit {commit}. Losses on {validation_scenes} unseen
scenes afterwards: {losses}.

The rate is the best of a sweep with {sweep_steps} steps per rate, by the sum of text and mask loss on
{validation_scenes} unseen scenes (seeds from {first_seed}), which are used for nothing else:

{sweep}
{edge}
```
python -m benchmarks train --method {method} --from {backbone} --out runs/{method} \\
    --steps {steps} --sweep-steps {sweep_steps} --rates {rates} --grid {grid}
```
"""
EDGE = "\nThe best rate is at the edge of the sweep, so a better one may lie beyond it.\n"


def card(model: Path) -> str:
    """The card for a folder with sweep.json, figures.json and training.json."""
    sweep, figures, training = (
        json.loads((model / name).read_text()) for name in (SWEEP_FILE, FIGURES_FILE, TRAINING_FILE)
    )
    (stage,) = training["config"]["stages"]
    rates = [row["rate"] for row in sweep["rows"]]
    at_the_end = len(rates) > 1 and stage["text_lr"] in (min(rates), max(rates))
    segment = figures["segment"]
    return TEXT.format(
        **{name: sweep[name] for name in ("method", "backbone", "grid", "images", "validation_scenes", "first_seed")},
        kind=KINDS[sweep["method"]],
        n=segment["n"],
        giou=_interval(segment),
        invalid=segment["invalid"],
        steps=stage["steps"],
        rate=stage["text_lr"],
        vision_rate=stage["vision_lr"],
        minutes=training["progress"]["seconds"] / 60,
        hardware=figures["hardware"],
        precision=training["precision"],
        commit=figures["commit"] or "unknown",
        losses=", ".join(f"{name} {value:.3f}" for name, value in figures["losses"].items()),
        sweep_steps=sweep["steps"],
        sweep=sweep_table(sweep["rows"]),
        edge=EDGE if at_the_end else "",
        rates=" ".join(f"{rate:g}" for rate in rates),
    )


def sweep_table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one row per rate, with the score that decides and the losses."""
    names = [name for name in rows[0]["losses"] if name != "cells"]
    lines = [["rate", "words + mask", *names], ["---:"] * (len(names) + 2)]
    lines += [
        [f"{row['rate']:g}", f"{row['score']:.3f}", *(f"{row['losses'][name]:.3f}" for name in names)] for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(score: dict[str, Any]) -> str:
    if score["low"] is None:
        return f"{score['gIoU']:.3f}"
    return f"{score['gIoU']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"

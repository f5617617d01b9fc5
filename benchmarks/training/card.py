"""The card of a trained method, always written from the files next to it, never by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.budget import SEEN_BEFORE, SWEEP_FILE, TRAINING_FILE
from benchmarks.scoring.curves import CURVE_FILE, CurvePoint, curve_points, read_answers
from benchmarks.scoring.intervals import Interval
from benchmarks.training.recipe import best_rate

FIGURES_FILE = "figures.json"

KINDS = {
    "stamp": "STAMP's own all-mask prediction: `<|seg|>`, then one logit per grid cell, all in one pass.",
    "stamp_shared": "All masks of an answer in one pass: each `<|seg|>` finds its own among one set of mask tokens.",
    "polygon": "Masks as polygons written in the answer, after SimpleSeg: one location token a coordinate, 32 steps.",
    "patch_text": "Masks as runs of patches written in the answer, after Text4Seg: one token a run, in 16 rows of 16.",
    "embedding": "Masks from the hidden state of `<|seg|>`, which prompts a small SAM mask decoder, after LISA.",
}

TEXT = """---
license: mit
library_name: transformers
tags: [{method}, qwen2_vl, referring-expression-segmentation]
---

# nano, method `{method}`

{kind}

One of the methods that `benchmarks/` compares. All start from the same backbone (`{backbone}`), keep its vision tower
as it is, and learn from the same pictures and exchanges for the same number of steps; they differ only in how the model
produces a mask.

## While it learned

Answers to the same {n} requests and questions about scenes of the known style (`curve.jsonl` has each answer). Brackets
are 95 % bootstrap intervals over pictures. `python -m benchmarks run` compares the methods.

{curve}

## Training

{steps} steps of {images} pictures ({photographs:.0%} photographs) on a grid of about {grid} x {grid} cells at rate
{rate:g}, {minutes:.0f} minutes on {hardware}, {precision}, commit {commit}.{onward} Losses
on {validation_scenes} unseen scenes afterwards: {losses}.

The rate is the best of a sweep with {sweep_steps} steps per rate, by the sum of text and mask loss on
{validation_scenes} unseen scenes (seeds from {first_seed}), which are used for nothing else:

{sweep}
{edge}
```
python -m benchmarks train --methods {method} --from {backbone} --photos DIR --out runs/compared \\
    --steps {steps} --sweep-steps {sweep_steps} --rates {rates} --grid {grid}
```

Several methods after `--methods` learn at once, each exactly what it learns alone.
"""
ONWARD = " It went on from a checkpoint that had seen {} pictures, at {:.2g} times the best rate below."
EDGE = "\nThe best rate is at the edge of the sweep, so a better one may lie beyond it.\n"


def card(model: Path) -> str:
    """The card for a folder with sweep.json, figures.json and training.json."""
    sweep, figures, training = (
        json.loads((model / name).read_text()) for name in (SWEEP_FILE, FIGURES_FILE, TRAINING_FILE)
    )
    (stage,) = training["config"]["stages"]
    rates = [row["rate"] for row in sweep["rows"]]
    at_the_end = len(rates) > 1 and best_rate(sweep["rows"]) in (min(rates), max(rates))
    plan = stage["plan"]
    points = curve_points(sweep["method"], read_answers(model / CURVE_FILE)[0])
    return TEXT.format(
        **{name: sweep[name] for name in ("method", "backbone", "grid", "validation_scenes", "first_seed")},
        kind=KINDS[sweep["method"]],
        n=sum(point.score.n for point in points if point.pictures == points[-1].pictures),
        curve=curve_table(points),
        steps=stage["steps"],
        images=plan["images"] * training["processes"],
        photographs=plan["photographs"] if training["photographs"] else 0.0,
        rate=stage["text_lr"],
        minutes=training["progress"]["seconds"] / 60,
        hardware=figures["hardware"],
        precision=training["precision"],
        commit=figures["commit"] or "unknown",
        losses=", ".join(f"{name} {value:.3f}" for name, value in figures["losses"].items()),
        sweep_steps=sweep["steps"],
        sweep=sweep_table(sweep["rows"]),
        onward=ONWARD.format(sweep[SEEN_BEFORE], stage["text_lr"] / best_rate(sweep["rows"]))
        if SEEN_BEFORE in sweep
        else "",
        edge=EDGE if at_the_end else "",
        rates=" ".join(f"{rate:g}" for rate in rates),
    )


def curve_table(points: Sequence[CurvePoint]) -> str:
    """Markdown: one row per number of pictures."""
    lines = ["| pictures seen | mean IoU of masks | questions answered right |", "|---:|---|---|"]
    for pictures in sorted({point.pictures for point in points}):
        by_kind = {point.kind: _interval(point.score) for point in points if point.pictures == pictures}
        lines.append(f"| {pictures} | {by_kind.get('mask', '–')} | {by_kind.get('question', '–')} |")
    return "\n".join(lines)


def _interval(score: Interval) -> str:
    if score.value is None:
        return "–"
    return f"{score.value:.3f}" + ("" if score.low is None else f" [{score.low:.3f}, {score.high:.3f}]")


def sweep_table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one row per rate, with the score that decides and the losses."""
    names = [name for name in rows[0]["losses"] if name != "cells"]
    lines = [["rate", "words + mask", *names], ["---:"] * (len(names) + 2)]
    lines += [
        [f"{row['rate']:g}", f"{row['score']:.3f}", *(f"{row['losses'][name]:.3f}" for name in names)] for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""The part of a model card about the training: log, stages, and sources of photographs and weights."""

import json
from typing import Any

from stamp.training.learning.pretrained_stem import LICENCE as PRETRAINED_LICENCE


def final_log(text: str) -> list[dict[str, Any]]:
    """Rows of the log, each (stage, step) once: a resumed run repeats what it had not saved."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for line in text.splitlines():
        row = json.loads(line)
        rows[row["stage"], row["step"]] = row
    return list(rows.values())


def earlier_minutes(training: dict[str, Any]) -> str:
    """How long the runs took that it started from; nothing where there are none."""
    seconds = sum(run["progress"]["seconds"] for run in training.get("earlier", []))
    return f", after {seconds / 60:.0f} minutes of earlier runs" if seconds else ""


def _images(stage: dict[str, Any], run: dict[str, Any]) -> int:
    return int(stage["plan"]["images"]) * int(run.get("processes", 1))


def stage_table(training: dict[str, Any], log: list[dict[str, Any]]) -> str:
    """Markdown rows of the stages: steps, images, and the last logged training figures."""
    rows = ["| stage | steps | images a step | cell accuracy | IoU on the grid |", "|---|---|---|---|---|"]
    rows += [
        f"| {stage['name']} (an earlier run) | {stage['steps']} | {_images(stage, run)} | - | - |"
        for run in training.get("earlier", [])
        for stage in run["config"]["stages"]
    ]
    for stage in training["config"]["stages"]:
        own = [row for row in log if row["stage"] == stage["name"]][-5:]
        if not own:
            continue
        cells, iou = (
            f"{sum(row[name] for row in own) / len(own):.2f}" if name in own[0] else "-" for name in ("cells", "iou")
        )
        rows.append(f"| {stage['name']} | {own[-1]['step']} | {_images(stage, training)} | {cells} | {iou} |")
    return "\n".join(rows)


def origins(photographs: dict[str, int], stem: bool) -> list[str]:
    """Where photographs and pretrained weights come from; nothing where there are none."""
    lines = [f"Pretrained vision stem: {PRETRAINED_LICENCE}.\n"] if stem else []
    if photographs:
        lines += [
            "## Photographs\n",
            "The model was trained on these photographs; none of them comes with the project. Sources and numbers:\n",
        ]
        lines += [f"- {origin}: {count}" for origin, count in photographs.items()]
    return lines

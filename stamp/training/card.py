"""The model card of a trained checkpoint: written from the run's log and the evaluation's figures, never by hand."""

import json
from pathlib import Path
from typing import Any

from stamp.quantization import AUTO_FILE
from stamp.sources import NOUNS_FILE
from stamp.training.ablation import RECORD_FILE, ablation_table
from stamp.training.art import HELD_OUT_PANORAMAS, PANORAMA_SOURCE, STYLE_SOURCES
from stamp.training.curves import draw_curves
from stamp.training.quantization_study import quantization_table
from stamp.training.refinement_study import study_table
from stamp.training.vocabulary import taught_nouns

CURVES_FILE = "curves.svg"
KIND_NAMES = {
    "segment": 'mask for "segment the NOUN" (mean IoU)',
    "segment_absent": "absent noun: no mask",
    "what": '"what is ... ?" answered right',
    "count": '"how many ... ?" answered right',
    "exists": '"is there a ... ?" answered right',
}

FRONT_MATTER = """---
license: mit
library_name: transformers
pipeline_tag: image-segmentation
tags: [stamp, qwen2_vl, referring-expression-segmentation]
---
"""


QUANTIZATION_TEXT = """
The page's `--quantization auto` takes **{auto}**: the mode with the least memory that loses less than one point of mask
IoU against bfloat16. {n_scenes} unseen scenes, {date}, commit {commit}; `python -m stamp.training quantization`.
"""
REFINEMENT_TEXT = """
Mean IoU of masks enlarged in different ways, from the exact mask on the grid ("oracle") and from the model's logits
("model"). {n_scenes} unseen scenes, {date}, commit {commit}; `python -m stamp.training refinement`.
"""
ABLATION_TEXT = """
Each variant trained from the same backbone for {steps} steps of {images} pictures on a {grid} x {grid} grid; masks in
answers given in advance, on unseen scenes, {date}, commit {commit}; `python -m stamp.training ablation`. The paper has
79.1 / 76.2 / 73.3 (cIoU, 2B) for full, causal and no patch features.
"""


def write_card(run: Path, model: Path, note: str = "") -> None:
    """Write `model/README.md` and the list of nouns, and copy `log.jsonl` and `training.json` of the run beside them.

    Reads `model/evaluation.json`; run `evaluate` first. Raises FileNotFoundError when something is missing.
    """
    training = json.loads((run / "training.json").read_text()) | {"note": note}
    evaluation = json.loads((model / "evaluation.json").read_text())
    log = final_log((run / "log.jsonl").read_text())
    (model / "training.json").write_text(json.dumps(training, indent=1) + "\n")
    (model / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    draw_curves(log, model / CURVES_FILE)
    (model / "README.md").write_text(render_card(training, evaluation, log, _studies(model)))
    (model / NOUNS_FILE).write_text(json.dumps([noun.name for noun in taught_nouns()]) + "\n")


def _studies(model: Path) -> str:
    """Sections for the studies whose records lie in the folder."""
    sections = []
    if (path := model / AUTO_FILE).exists():
        record = json.loads(path.read_text())
        facts = record["provenance"] | {"auto": "bfloat16" if record["auto"] == "none" else record["auto"]}
        sections += ["## Precision", QUANTIZATION_TEXT.format(**facts), quantization_table(record), ""]
    if (path := model / "refinement.json").exists():
        record = json.loads(path.read_text())
        sections += ["## Edges", REFINEMENT_TEXT.format(**record["provenance"]), study_table(record["scores"])]
    if (path := model / RECORD_FILE).exists():
        record = json.loads(path.read_text())
        sections += ["", "## What matters", ABLATION_TEXT.format(**record["provenance"]), ablation_table(record)]
    return "\n".join([*sections, ""])


def final_log(text: str) -> list[dict[str, Any]]:
    """Rows of the log, each (stage, step) once: a resumed run repeats what it had not saved."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for line in text.splitlines():
        row = json.loads(line)
        rows[row["stage"], row["step"]] = row
    return list(rows.values())


def render_card(
    training: dict[str, Any], evaluation: dict[str, Any], log: list[dict[str, Any]], studies: str = ""
) -> str:
    """The card's Markdown. studies: further sections."""
    provenance = evaluation["provenance"]
    grid = training["config"]["stages"][training["progress"]["stage"]]["plan"]["grid"]
    styles = training["config"]["stages"][0]["plan"]["styles"]
    sources = [STYLE_SOURCES[style] for style in styles] + [PANORAMA_SOURCE]
    return "\n".join(
        [
            FRONT_MATTER,
            "# stamp-nano\n",
            "A tiny STAMP, trained from scratch on composed scenes, that ships with the demo so that everything works",
            "offline. Same classes, special tokens, chat template and mask pass as the published models; only the sizes",
            "and the tokenizer differ: 6 M parameters, patches of 16 px without merging (published: 14 px, merged",
            f"2 x 2), at most {grid**2} mask tokens ({grid} x {grid}): pictures are seen at about {16 * grid} x {16 * grid} pixels.\n",
            "## What it can and cannot do\n",
            f"It segments {len(taught_nouns())} nouns, drawn in {len(styles)} styles on panoramas and procedural backgrounds, and",
            "answers simple questions about them as reliably as the figures below say. **It does not understand photographs",
            "or people**: there it answers, but wrongly. It was made to show the method, not to compete.\n",
            "One can ask for things by name, place, size, neighbour, kind or use, for several at once or for everything; ask",
            'what, where, how many, is there, which is bigger; and go on with "it" and "and the ...?". A word it never learned',
            "it declines. The table below measures the plainest of these; the others are less reliable.\n",
            f"Nouns: {', '.join(noun.name for noun in taught_nouns())}.\n",
            "## Figures\n",
            f"{provenance['n_scenes']} unseen scenes of the training styles (2-6 objects, validation seeds from",
            f"{provenance['first_seed']}), {provenance['dtype']} on {provenance['device']}, {provenance['date']},",
            f"commit {provenance['commit']}; 95 % bootstrap intervals.\n",
            score_table(evaluation["scores"]),
            "\nAn answer is right when an accepted word stands in it as a whole word and no rival does (the other of",
            "yes/no, another number, another noun that was not in the question). Recompute, with Node.js for `npm pack`:\n",
            "```\npip install -r requirements-dev.txt\npython -m stamp.training art",
            f"python -m stamp.training evaluate --scenes {provenance['n_scenes']} --out figures\n```\n",
            studies,
            "## Training\n",
            f"Seed {training['config']['seed']}, {training['progress']['seconds'] / 60:.0f} minutes of training on",
            f"{training['hardware']}. Scenes are composed on the fly, each from its own seed below 10^9; validation",
            "seeds start there.\n",
            stage_table(training, log),
            f"\n![Losses, cell accuracy and IoU over the minutes of training]({CURVES_FILE})\n",
            '\n"words" trains answers (cross-entropy) with a perfect vision tower, whose features are the word embeddings of',
            'what a cell shows, the way from there to the object\'s centre and how large it is; "vision" teaches the real one',
            'to give such features; "joint" trains everything on pictures, with masks (0.3 BCE + 0.7 Dice on soft coverage)',
            "from the last stages on. Beside the losses, the first text layer is told to add where a cell is, and five attention",
            "heads are shown where to look (a noun at its cells and at each of its objects, a mask token at its noun, an answer",
            "at its question and at what it names).\n",
            training["note"],
            "## Artwork\n",
            "| package | licence | notice |",
            "|---|---|---|",
            *(f"| {source.spec} | {source.licence} | {source.notice} |" for source in sources),
            f"\nPanoramas never used in training: {', '.join(HELD_OUT_PANORAMAS)}.\n",
        ]
    )


def score_table(scores: dict[str, dict[str, float]]) -> str:
    """Markdown rows of mean, interval and n."""
    rows = ["| | mean | 95 % interval | n |", "|---|---|---|---|"]
    for kind, name in KIND_NAMES.items():
        if kind in scores:
            s = scores[kind]
            rows.append(f"| {name} | {s['mean']:.3f} | {s['low']:.3f} - {s['high']:.3f} | {s['n']:.0f} |")
    return "\n".join(rows)


def stage_table(training: dict[str, Any], log: list[dict[str, Any]]) -> str:
    """Markdown rows of the stages: steps, images, and the last logged training figures."""
    rows = ["| stage | steps | images a step | cell accuracy | IoU on the grid |", "|---|---|---|---|---|"]
    for stage in training["config"]["stages"]:
        own = [row for row in log if row["stage"] == stage["name"]][-5:]
        if not own:
            continue
        cells, iou = (
            f"{sum(row[name] for row in own) / len(own):.2f}" if name in own[0] else "-" for name in ("cells", "iou")
        )
        rows.append(f"| {stage['name']} | {own[-1]['step']} | {stage['plan']['images']} | {cells} | {iou} |")
    return "\n".join(rows)

"""The sections of a model card that come from records beside the checkpoint; each is empty without its record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stamp.checkpoints.sources import CONFIDENCE_FILE, PHOTO_FIGURES_FILE
from stamp.training.card.ablation import RECORD_FILE as ABLATION_FILE
from stamp.training.card.ablation import ablation_table
from stamp.training.card.curves import draw_confidence
from stamp.training.card.eyes_study import RECORD_FILE as EYES_FILE
from stamp.training.card.eyes_study import eyes_table
from stamp.training.card.quantization_study import RECORD_FILE as QUANTIZATION_FILE
from stamp.training.card.quantization_study import quantization_table
from stamp.training.card.refinement_study import RECORD_FILE as REFINEMENT_FILE
from stamp.training.card.refinement_study import study_table
from stamp.training.talk.chat import UNKNOWN_ANSWER

#: How often it declined words that it has not seen, and in that run, words that it should know.
REFUSALS_FILE = "refusals.json"
#: The report on things cut out of photographs.
CUTOUTS_FILE = "cutouts-val.json"
CONFIDENCE_CURVE_FILE = "confidence.svg"
QUANTIZATION_TEXT = """
A model of this size gains nothing from quantization, so the page's `--quantization auto` leaves it as it is, in {dtype} on
{hardware}. {n_scenes} unseen scenes; processor time of an answer, relative to the first row. {date}, commit {commit};
`python -m stamp.training quantization`.
"""
PHOTOGRAPHS_TEXT = """Requests by name for things that cover {share:.0%} of the picture or more, requests for absent things, and "Is there ...?" for
one of each. Brackets are 95 % bootstrap intervals over pictures. Measured by `python -m benchmarks figures --photos DIR`,
where DIR is a folder like the one used for training; its `heldout.txt` lists these pictures.
"""
CUTOUTS_TEXT = """### Things cut out of them

{samples} requests and questions about things cut out of these photographs, in scenes composed like the drawn ones, on
panoramas that training never saw; the same command.
"""
#: Scores of photographs, and their names.
PHOTO_SCORES = (
    ("target gIoU", "**masks of what is there** (gIoU)"),
    ("P@0.5", "masks with an IoU of 0.5 or more"),
    ("N-acc", "**not there: no mask**"),
    ("dialogue", "**is there one: yes or no**"),
)
#: Rows of the table of figures: kind in the report (None: all), its score, and what it says.
FIGURES = (
    (None, "target gIoU", "**masks of what is there** (gIoU)"),
    ("segment", "target gIoU", 'by name: "segment the apple"'),
    ("segment_colour", "target gIoU", "by colour"),
    ("segment_place", "target gIoU", "by place"),
    ("segment_size", "target gIoU", "by size"),
    ("segment_beside", "target gIoU", "by neighbour"),
    ("segment_group", "target gIoU", "by kind or use"),
    ("segment_several", "target gIoU", "several at once"),
    ("segment_everything", "target gIoU", "everything"),
    (None, "N-acc", "**not there: no mask**"),
    (None, "dialogue", "**questions answered right**"),
    ("what", "dialogue", "what is there"),
    ("what_beside", "dialogue", "what is beside it"),
    ("where", "dialogue", "where it is"),
    ("count", "dialogue", "how many"),
    ("exists", "dialogue", "is there one"),
    ("bigger", "dialogue", "which is bigger"),
    ("unknown", "dialogue", "a word it never learned: says so"),
)
CONFIDENCE_TEXT = """
A mask's confidence is the mean probability of its pixels times that of the answer's first word. On {n} masks of
photographs and drawings that training never saw (`benchmarks/studies/confidence.py`; masks of what is not there count
as wrong), it tells right from wrong masks like this:

![Share of right masks by confidence]({curve})

Below {below:.2f} a mask is more often wrong than right; the share of right masks is {unsure} below, and {sure}
above. The page says so under such an answer.

"""
EYES_TEXT = """
All four start from the tower of `assets/{start}`, which knows drawings only, and learn from the same {pictures} pictures
({steps} steps of {images}), half of them photographs. The figure is the mean IoU of the cells named as a noun with the
pixels of that noun, on held-out photographs and on drawings in a style that training never shows (EmojiOne).
{hardware}, {date}, commit {commit};
`python -m stamp.training eyes --photos DIR`. The shipped tower has the stem on 16 x 16 cells: it learned on 12 x 12
first, and then went on.
"""
REFINEMENT_TEXT = """
Mean IoU of masks enlarged in different ways, starting from the exact mask on the grid ("oracle") or from the model's
logits ("model"). {n_scenes} unseen scenes, {date}, commit {commit}; `python -m stamp.training refinement`.
"""
ABLATION_TEXT = """
Each variant was trained from the same backbone for {steps} steps of {images} pictures on a {grid} x {grid} grid. The masks
belong to given answers on unseen scenes; {date}, commit {commit}; `python -m stamp.training ablation`. The paper reports
79.1 / 76.2 / 73.3 (cIoU, 2B) for full, causal and no patch features.
"""


def sections(model: Path) -> str:
    """All of them, as Markdown; draws the curve of confidence."""
    return _photographs(model) + _cutouts(model) + _refusals(model) + _confidence(model) + _studies(model)


def _photographs(model: Path) -> str:
    """The section about photographs; empty if they were not measured."""
    if not (path := model / PHOTO_FIGURES_FILE).exists():
        return ""
    figures = json.loads(path.read_text())
    rows = ["| source | masks of what is there (gIoU) | P@0.5 |", "|---|---|---|"]
    for source, scores in figures["sources"].items():
        rows.append(f"| {source} | {score_cell(scores.get('target gIoU'))} | {score_cell(scores.get('P@0.5'))} |")
    scores = figures["rows"][0]["scores"]
    table = [f"| {name} | {score_cell(scores.get(score))} |" for score, name in PHOTO_SCORES]
    return "\n".join(
        [
            "## Photographs that it has not seen\n",
            PHOTOGRAPHS_TEXT.format(share=figures["min_area_share"]),
            "| | |",
            "|---|---|",
            *table,
            "",
            *rows,
            "\n",
        ]
    )


def _cutouts(model: Path) -> str:
    """The section about things cut out of photographs; empty if they were not measured."""
    if not (path := model / CUTOUTS_FILE).exists():
        return ""
    figures = json.loads(path.read_text())
    return CUTOUTS_TEXT.format(samples=n_samples(figures)) + "\n" + figure_table(figures) + "\n\n"


def _refusals(model: Path) -> str:
    """The paragraph about declined words; empty if they were not counted."""
    if not (path := model / REFUSALS_FILE).exists():
        return ""
    counts = json.loads(path.read_text())
    wrong = "; ".join(f'{one["word"]}: "{one["answer"]}"' for one in counts["accepted"]) or "none"
    return (
        f"Asked to segment {counts['unseen']} words that training has neither as nouns nor as examples of unknown words, "
        f'it says {counts["unseen declined"]} times "{UNKNOWN_ANSWER}" (The others: {wrong}.) It wrongly says so '
        f"to {counts['known declined']} of {counts['known']} requests and questions about words it was taught "
        f"({counts['known declined'] / counts['known']:.1%}).\n\n"
    )


def _confidence(model: Path) -> str:
    """The section about confidences, and its curve; empty if they were not measured."""
    if not (path := model / CONFIDENCE_FILE).exists():
        return ""
    record = json.loads(path.read_text())
    draw_confidence(record, model / CONFIDENCE_CURVE_FILE)
    sides = {side: record[side] and record[side] | {"value": record[side]["right"]} for side in ("unsure", "sure")}
    about = {
        "n": sum(point["n"] for point in record["points"]),
        "curve": CONFIDENCE_CURVE_FILE,
        "below": record["unsure_below"],
    }
    cells = {side: score_cell(score) for side, score in sides.items()}
    return "## How sure it is\n" + CONFIDENCE_TEXT.format(**about, **cells)


def _studies(model: Path) -> str:
    """Sections for the studies whose records are in the folder."""
    parts = []
    for heading, name, text in STUDIES:
        if (path := model / name).exists():
            parts += [f"## {heading}", text(json.loads(path.read_text())), ""]
    return "\n".join(parts)


def _eyes(record: dict[str, Any]) -> str:
    about = record["provenance"]
    return EYES_TEXT.format(pictures=about["steps"] * about["images"], **about) + "\n" + eyes_table(record)


def _quantization(record: dict[str, Any]) -> str:
    return QUANTIZATION_TEXT.format(**record["provenance"]) + "\n" + quantization_table(record)


def _refinement(record: dict[str, Any]) -> str:
    return REFINEMENT_TEXT.format(**record["provenance"]) + "\n" + study_table(record["scores"])


def _ablation(record: dict[str, Any]) -> str:
    return ABLATION_TEXT.format(**record["provenance"]) + "\n" + ablation_table(record)


#: Heading, record, and the text made from it.
STUDIES: tuple[tuple[str, str, Callable[[dict[str, Any]], str]], ...] = (
    ("Vision towers compared", EYES_FILE, _eyes),
    ("Precision", QUANTIZATION_FILE, _quantization),
    ("Edges", REFINEMENT_FILE, _refinement),
    ("Ablation", ABLATION_FILE, _ablation),
)


def n_samples(figures: dict[str, Any]) -> int:
    """The number of requests and questions of a report."""
    return sum(row["requests_for_masks"] + row["questions"] for row in figures["rows"])


def figure_table(figures: dict[str, Any]) -> str:
    """Markdown rows: value and interval of each kind by split; empty where nothing was asked."""
    rows = {row["split"]: row for row in figures["rows"]}
    lines = [f"| | {' | '.join(rows)} |", "|---|" + "---|" * len(rows)]
    for kind, score, name in FIGURES:
        found = [(row if kind is None else row["kinds"].get(kind, {"scores": {}}))["scores"] for row in rows.values()]
        cells = [score_cell(scores.get(score)) for scores in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def score_cell(score: dict[str, Any] | None) -> str:
    """A score with its interval and n; empty without one."""
    if score is None:
        return ""
    interval = "" if score["low"] is None else f" [{score['low']:.3f}, {score['high']:.3f}]"  # one picture has none
    return f"{score['value']:.3f}{interval}, n {score['n']}"

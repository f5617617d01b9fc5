"""The model card of a trained checkpoint: written from the run's log and the evaluation's figures, never by hand."""

import json
import math
from pathlib import Path
from typing import Any

from stamp.checkpoints.loading import stored_shapes
from stamp.checkpoints.sources import NOUNS_FILE
from stamp.training.card.curves import draw_curves
from stamp.training.card.sections import figure_table, n_samples, sections
from stamp.training.card.training_record import earlier_minutes, final_log, origins, stage_table
from stamp.training.scenes.art import HELD_OUT_PANORAMAS, PANORAMA_SOURCE, STYLE_SOURCES

CURVES_FILE = "curves.svg"
#: The report of `python -m benchmarks run` on the shipped scenes, and the worst answers of that run.
FIGURES_FILE, GALLERY_FILE = "scenes-val.json", "worst.webp"
FRONT_MATTER = """---
license: mit
library_name: transformers
pipeline_tag: image-segmentation
tags: [stamp, qwen2_vl, referring-expression-segmentation]
---
"""


STEM_TEXT = """
Its vision tower is Qwen2-VL's, with a convolutional stem in addition to the patch projection: EfficientNet-lite0,
pretrained on ImageNet (`vision_stem` in `config.json`; the published models have none).
"""
#: A noun with at least this many photographs counts as seen often.
OFTEN = 10


def write_card(run: Path, model: Path, note: str | None = None) -> None:
    """Write `model/README.md`, and copy `log.jsonl` and `training.json` of the run beside it.

    note: None leaves the one there is. Reads the nouns in `model/nouns.json`, which the trainer writes, and the report in
    `model/scenes-val.json` (`python -m benchmarks figures`).
    Raises FileNotFoundError when something is missing.
    """
    training = json.loads((run / "training.json").read_text())
    training["note"] = training.get("note", "") if note is None else note
    figures = json.loads((model / FIGURES_FILE).read_text())
    log = final_log((run / "log.jsonl").read_text())
    (model / "training.json").write_text(json.dumps(training, indent=1) + "\n")
    (model / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    draw_curves(log, model / CURVES_FILE)
    nouns = json.loads((model / NOUNS_FILE).read_text())
    facts = {"parameters": count_parameters(model), "stem": has_stem(model)}
    (model / "README.md").write_text(render_card(training, figures, log, nouns, facts, sections(model)))


def count_parameters(model: Path) -> int:
    """Of a checkpoint's safetensors, read from their headers; tied weights once."""
    return sum(math.prod(shape) for _, shape in stored_shapes(model))


def has_stem(model: Path) -> bool:
    """Whether a checkpoint has a pretrained stem in addition to its patch projection."""
    return bool(json.loads((model / "config.json").read_text()).get("vision_stem", "patches") != "patches")


def render_card(
    training: dict[str, Any],
    figures: dict[str, Any],
    log: list[dict[str, Any]],
    nouns: dict[str, dict[str, int]],
    facts: dict[str, Any],
    studies: str = "",
) -> str:
    """The card's Markdown.

    figures: a report of `python -m benchmarks run`; nouns: what each was learned from; facts: number of `parameters`,
    and whether the checkpoint has a `stem`; studies: further sections.
    """
    grid = training["config"]["stages"][training["progress"]["stage"]]["plan"]["grid"]
    styles = [style for style in training["config"]["stages"][0]["plan"]["styles"] if style in STYLE_SOURCES]
    sources = [STYLE_SOURCES[style] for style in styles] + [PANORAMA_SOURCE]
    return "\n".join(
        [
            FRONT_MATTER,
            "# stamp-nano\n",
            "A tiny STAMP that ships with the demo so that everything works offline. It has the classes, special tokens, chat",
            "template and mask pass of the published models; only the sizes, the tokenizer and the vision tower differ:",
            f"{facts['parameters'] / 1e6:.1f} M parameters, patches of 16 px without merging (published: 14 px, merged",
            f"2 x 2), at most {grid**2} mask tokens ({grid} x {grid}): it sees pictures at about {16 * grid} x {16 * grid} pixels.",
            STEM_TEXT if facts["stem"] else "",
            "## What it can and cannot do\n",
            *_what_it_knows(nouns, len(styles)),
            "You can ask for things by name, place, size, neighbour, kind or use, for several at once, or for everything. You can",
            'ask what, where, how many, is there, and which is bigger, and follow up with "it" and "and the ...?". It declines',
            "words that it never learned. The table below shows how often each of these works.\n",
            f"Nouns{', from photographs too in bold' if any(map(_photographed, nouns.values())) else ''}: "
            f"{', '.join(f'**{noun}**' if _photographed(of) else noun for noun, of in nouns.items())}.\n",
            "## Figures\n",
            measured_with(figures),
            "",
            figure_table(figures),
            "\nHalf of the sentences use phrasings that training never used. An answer counts as right if it contains an accepted",
            "word as a whole word and no rival (the other of yes and no, another number, another noun that was not in the",
            f"question). {seconds_of(figures)} These commands measure everything here again and write this card:\n",
            "```\npip install -r requirements-dev.txt\npython -m stamp.training art",
            "python -m benchmarks figures --model assets/stamp-nano --photos DIR --out runs/figures\n```\n",
            '(`stamp.training art` needs Node.js. The table "Ablation" comes from `python -m stamp.training ablation`.)\n',
            f"![The worst answers of each kind: right mask, predicted mask, request, answer]({GALLERY_FILE})\n",
            "The worst answers of each kind: the right mask on the left, the predicted one on the right.\n",
            studies,
            "## Training\n",
            f"Seed {training['config']['seed']}, {training['progress']['seconds'] / 60:.0f} minutes of training on",
            f"{training['hardware']}{earlier_minutes(training)}. Scenes are composed on the fly, each from its own seed below 10^9; validation",
            "seeds start there.\n",
            stage_table(training, log),
            f"\n![Losses, cell accuracy and IoU over the minutes of training]({CURVES_FILE})\n",
            '\n"words" trains answers (cross-entropy) with a perfect vision tower: its features are the word embeddings of what',
            "a cell shows, the offset from there to the object's centre, and the object's size. \"vision\" trains the real tower to",
            'produce such features. "joint" trains everything on pictures; the last stages also train masks (0.3 BCE + 0.7 Dice',
            "on soft coverage). Auxiliary losses: the first text layer learns to add the position of a cell. Five attention heads",
            "learn where to look (a noun at its cells and at each of its objects, a mask token at its noun, an answer at its",
            "question and at what it names). The hidden states of nouns and answers learn to encode where their objects are, how",
            "large they are and how many there are.\n",
            training["note"],
            "## Artwork\n",
            "| package | licence | notice |",
            "|---|---|---|",
            *(f"| {source.spec} | {source.licence} | {source.notice} |" for source in sources),
            f"\nPanoramas never used in training: {', '.join(HELD_OUT_PANORAMAS)}.\n",
            *origins(training.get("photographs", {}), facts["stem"]),
        ]
    )


def _photographed(learned_from: dict[str, int]) -> bool:
    return learned_from.get("photographs", 0) > 0


def _what_it_knows(nouns: dict[str, dict[str, int]], n_styles: int) -> list[str]:
    seen = sum(map(_photographed, nouns.values()))
    often = sum(of.get("photographs", 0) >= OFTEN for of in nouns.values())
    nouns_line = (
        f"It segments {len(nouns)} nouns, drawn in {n_styles} styles on panoramas and procedural backgrounds, and"
    )
    answers = "answers simple questions about them; the figures below show how reliably."
    if not seen:
        return [
            nouns_line,
            answers + " **It does not understand photographs",
            "or people**: it answers, but wrongly.\n",
        ]
    return [
        nouns_line,
        f"{answers} It knows {seen} of them from photographs too ({often} from {OFTEN} or more); for the others, its answers",
        "in photographs are guesses. In photographs it struggles with things smaller than a cell of its grid, many similar",
        "things close together, parts of things, text, unusual views and light, and anything learned from only a few",
        "pictures. It was made to show the method, not to compete.\n",
    ]


def measured_with(figures: dict[str, Any]) -> str:
    """Where a report's figures come from, in a sentence."""
    run, rows = figures["run"], figures["rows"]
    about = run["methods"][rows[0]["method"]]
    changed = {True: " with uncommitted changes", False: ""}
    sessions = ", ".join(
        f"{one['date']} at commit {one['commit']}{changed[one['uncommitted_changes']]}" for one in run["sessions"]
    )
    return (
        f"All {n_samples(figures)} requests and questions of the shipped scenes (`assets/scenes-val`), {rows[0]['precision']}, "
        f"{about['hardware']}, {sessions}; brackets are 95 % bootstrap intervals over pictures. *known*: unseen scenes with the "
        "artwork of the training; *background*: panoramas, *style*: drawings (EmojiOne) that training never saw."
    )


def seconds_of(figures: dict[str, Any]) -> str:
    """Median and 90th percentile of requests by name, in a sentence."""
    about = figures["rows"][0]
    cost = about["kinds"]["segment"]["cost"]
    return (
        f"An answer with one mask takes {1000 * cost['median_s']:.0f} ms in the median, {1000 * cost['p90_s']:.0f} ms at the 90th "
        f"percentile (n {cost['n']})."
    )

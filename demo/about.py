"""The About tab: the paradigm in one figure, how to cite, how to run published checkpoints, limits of the nano."""

import json
from html import escape
from pathlib import Path

import gradio as gr

from demo.board.paradigms import ALL_MASK, EMBEDDING, PATCH_TEXT, POLYGON, Paradigm
from demo.chat.known import count_known
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT, NOUNS_FILE, PHOTO_FIGURES_FILE

CITATION = """\
@inproceedings{liu2026stamp,
  title     = {Better, Stronger, Faster: Tackling the Trilemma in MLLM-based Segmentation
               with Simultaneous Textual Mask Prediction},
  author    = {Liu, Jiazhen and Feng, Mingkuan and Chen, Long},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2026},
  note      = {arXiv:2512.00395}
}"""

METHOD = """
## How a mask comes out of a language model

A language model writes one token at a time, and each token is one pass through the model. A mask can be written the
same way, left to a second model, or predicted all at once.
"""

AFTER_FIGURE = """
**All-mask prediction** is the method of [STAMP](https://arxiv.org/abs/2512.00395) (CVPR 2026). The model talks, and
wherever it writes `<|seg|>`, one mask token per patch of the picture goes through the model in a single pass. These
tokens see the picture, the text so far and each other. The whole mask appears at once, costs the same whatever its
shape, and does not disturb the text.

**One pass for all targets** is our own variant, based on an idea from
[STAMPlus](https://arxiv.org/abs/2608.02791), a paper whose code is not public. All-mask prediction needs a set of mask
tokens for each target. Here one set sees the whole answer up to its last `<|seg|>`, and each `<|seg|>` finds its own
patches in it. So eight masks cost little more than one, but they appear only when the answer is complete. The
Benchmark tab and its race include this variant. The chat does not use it: there, each mask appears as soon as the
answer names its target.

The Benchmark tab compares these ways with our own measurements. There, a mask written as text uses one token per
coordinate or per run, so that a small model can learn it.
"""

CITE = (
    "## Cite\n\nThe method is by Liu, Feng and Chen ([paper](https://arxiv.org/abs/2512.00395), "
    "[code](https://github.com/HKUST-LongGroup/STAMP)). This page is an independent implementation."
)

PUBLISHED = """
## Published checkpoints

The small model, stamp-nano, was made for this page. Published checkpoints are loaded by name; nothing is downloaded
unless you ask for it:

    python app.py --model 2b                                      # JiaZL/STAMP-2B-uni
    python app.py --model 7b --base Qwen/Qwen2-VL-7B-Instruct     # JiaZL/STAMP-7B-lora, an adapter

Models with a billion parameters or more load in nf4, or in int8 on a CPU that is fast at it. Only safetensors files
are read, and no remote code runs.
"""

LIMITS = """
## Limits of the small model

- It knows {nouns} objects by name, place, size, neighbour or kind. It learned all of them from drawings, and
  {photographed} from photographs as well.
{photographs}- It sees a picture as a coarse grid of patches. Small things get lost, and sharp edges come from the
  refinement, not from the model.
- It is often wrong, especially with sizes and neighbours, and it miscounts one time in four. The model card in
  `assets/stamp-nano` has the figures.
- Live runs and races run on this server, so its other work affects their times.
"""
NOT_PHOTOGRAPHS = "- It does **not** understand photographs, people or writing.\n"
PHOTOGRAPHS = """- In photographs it had not seen, its masks of things that cover {share:.0%} of the picture or more
  reach a mean IoU of {value:.2f} ({n} requests, 95% interval {low:.2f} to {high:.2f}). Expect it to miss small things,
  crowds, text, and objects it knows only from drawings.
"""


def limits(checkpoint: Path = EMBEDDED_CHECKPOINT) -> str:
    """Markdown: the limits of the small model, with figures from its card; empty if it has no list of nouns."""
    if not (nouns := checkpoint / NOUNS_FILE).is_file():
        return ""
    photographs = NOT_PHOTOGRAPHS
    if (figures := checkpoint / PHOTO_FIGURES_FILE).is_file():
        record = json.loads(figures.read_text(encoding="utf-8"))
        score = record["rows"][0]["scores"]["target gIoU"]
        photographs = PHOTOGRAPHS.format(share=record["min_area_share"], **score)
    n_nouns, n_photographed = count_known(nouns)
    return LIMITS.format(nouns=n_nouns, photographed=n_photographed, photographs=photographs)


def add_about() -> None:
    """Fill the tab that is open."""
    with gr.Column(elem_id="about"):
        gr.Markdown(METHOD)
        gr.HTML(figure_svg(), elem_id="figure", padding=False)
        gr.Markdown(AFTER_FIGURE)
        gr.Markdown(limits())
        gr.Markdown(PUBLISHED)
        gr.Markdown(CITE)
        gr.HTML(
            f'<pre class="scroll" tabindex="0" role="region" aria-label="Citation">{escape(CITATION)}</pre>',
            elem_id="citation", padding=False,
        )  # fmt: skip


# -- the figure ----------------------------------------------------------------------------------------------------

#: Sizes in the figure's own units; the browser scales it to the page.
WIDTH, LANE_HEIGHT, TOP = 640, 92, 8
PATCHES = ((0, 1, 1, 0), (1, 1, 1, 1), (1, 1, 1, 0), (0, 1, 0, 0))
#: The second target of the last lane.
OTHER_PATCHES = ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 1))
#: All-mask prediction of several targets at once, which the plots do not tell apart.
SHARED = Paradigm("all-mask, one pass for all targets", ALL_MASK.colour)
BLOB = "M22 10 C52 2 70 24 64 42 C58 64 22 66 14 48 C6 32 8 16 22 10Z"
OUTLINE = ((18, 4), (48, 8), (60, 32), (44, 56), (14, 50), (4, 24))
#: What each lane writes, and the number of passes to a mask.
LANES: tuple[tuple[Paradigm, tuple[str, ...], str], ...] = (
    (POLYGON, ("[[", "18,", "4]", "[48,", "8]", "…"), "a token for each coordinate"),
    (PATCH_TEXT, ("others*1,", "crab*2,", "others*1", "↵", "…"), "tokens for each run of patches"),
    (EMBEDDING, ("<seg>",), "one token, then a second model"),
    (ALL_MASK, ("<|seg|>",), "one token, then one pass for all patches"),
    (SHARED, ("crab", "<|seg|>", "fish", "<|seg|>"), "a token for each target, then one pass for all targets"),
)


def figure_svg() -> str:
    """A lane for each way to get a mask: what the model writes, and the resulting mask, or two of them."""
    height = TOP + LANE_HEIGHT * len(LANES)
    lanes = "".join(
        f'<g transform="translate(0 {TOP + index * LANE_HEIGHT})">{_lane(*lane)}</g>'
        for index, lane in enumerate(LANES)
    )
    return (
        f'<svg class="paradigms" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="paradigms-title">'
        '<title id="paradigms-title">Polygon and patch text write a mask token by token; an embedding is decoded by a '
        "second model; all-mask prediction fills every patch in one pass, for one target or for several.</title>"
        f"{lanes}</svg>"
    )


def _lane(paradigm: Paradigm, written: tuple[str, ...], words: str) -> str:
    colour = paradigm.colour
    head = _text(0, 20, paradigm.name, f'class="lane-name" fill="{colour}"') + _text(0, 42, words, 'class="lane-words"')
    tokens, x = "", 0.0
    for token in written:
        width = 14 + 7.4 * len(token)
        box = f'fill="{colour}" fill-opacity="0.18" stroke="{colour}"'
        tokens += f'<rect x="{x}" y="54" width="{width}" height="24" rx="5" {box}/>'
        tokens += _text(x + width / 2, 70.5, token, 'class="token" text-anchor="middle"')
        x += width + 6
    arrow = f'<path d="M {x + 6} 66 H 520" class="arrow"/><path d="M 514 61 L 521 66 L 514 71" class="arrow"/>'
    between = _decoder(colour) if paradigm is EMBEDDING else ""
    return f"{head}{tokens}{arrow}{between}" + f'<g transform="translate(536 8)">{_mask(paradigm)}</g>'


def _decoder(colour: str) -> str:
    """The second model of the embedding lane."""
    box = f'<rect x="330" y="50" width="120" height="32" rx="8" class="ground" stroke="{colour}" stroke-width="1.5"/>'
    return box + _text(390, 70.5, "mask decoder", 'class="token" text-anchor="middle"')


def _mask(paradigm: Paradigm) -> str:
    """What has been predicted: vertices, patches in reading order, a blob, or every patch at once."""
    frame = '<rect width="72" height="72" rx="4" class="frame"/>'
    colour = paradigm.colour
    if paradigm is POLYGON:
        points = " ".join(f"{x + 4},{y + 4}" for x, y in OUTLINE)
        dots = "".join(f'<circle cx="{x + 4}" cy="{y + 4}" r="3.5" fill="{colour}"/>' for x, y in OUTLINE)
        return f'{frame}<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
    if paradigm is EMBEDDING:
        return f'{frame}<path d="{BLOB}" fill="{colour}" fill-opacity="0.6"/>'
    shown = 6 if paradigm is PATCH_TEXT else 16  # the text has reached the middle of the second row
    cells = [(row, column) for row in range(4) for column in range(4)][:shown]
    drawn = [(PATCHES, colour), (OTHER_PATCHES, EMBEDDING.colour)] if paradigm is SHARED else [(PATCHES, colour)]
    filled = "".join(
        f'<rect x="{column * 18}" y="{row * 18}" width="18" height="18" fill="{of_target}" fill-opacity="0.6"/>'
        for patches, of_target in drawn
        for row, column in cells
        if patches[row][column]
    )
    lines = "".join(f'<path d="M {18 * step} 0 V 72 M 0 {18 * step} H 72" class="grid"/>' for step in (1, 2, 3))
    return f"{frame}{filled}{lines}"


def _text(x: float, y: float, words: str, attributes: str) -> str:
    escaped = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x}" y="{y}" {attributes}>{escaped}</text>'

"""One sample at a time: picture, prompt, the right answer, and every method's answer side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.datasets.sample import DatasetError, MaskSample, QuestionSample, Sample
from benchmarks.scoring.records import Record
from benchmarks.scoring.scores import iou_of
from demo.board.filters import Filters, samples_of
from demo.board.library import Library
from demo.board.names import method_name, name_of
from demo.board.paradigms import POLYGON, paradigm_of
from demo.board.partial import vertices
from demo.board.race import mask_uri
from demo.board.results import Results, Run
from demo.board.takeaways import seconds
from demo.chat.shown_mask import shrink_mask
from demo.html import data_uri, literal
from stamp.pictures.images import DEFAULT_LIMITS
from stamp.pictures.masks import Mask, Rle, decode_rle

#: Sort orders of the samples, by their label on the page.
IN_ORDER, DISAGREEMENT, WORST = "Dataset order", "Largest disagreement first", "Worst first"
ORDERS = (DISAGREEMENT, WORST, IN_ORDER)
#: A longer list is useless; the filters make it shorter.
MAX_LISTED = 300
SHOWN_PX = 420
TRUTH_COLOUR = "#2ea043"
UNREADABLE_MASKS = "The recorded masks of this answer cannot be read."

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Listed:
    """The samples of a view. entries: (label, "run/split/id") for a dropdown. left_out: how many more there are."""

    entries: list[tuple[str, str]]
    left_out: int


def listed(results: Results, filters: Filters, order: str) -> Listed:
    """The samples that pass the filters, in the given order."""
    samples = samples_of(filters, results)
    if samples.empty:
        return Listed([], 0)
    scored = samples.assign(score=samples["iou"].fillna(samples["correct"].astype(float)).astype(float))
    groups = scored.groupby(["run", "split", "sample"], sort=False)
    found = groups.agg(prompt=("prompt", "first"), low=("score", "min"), high=("score", "max"), mean=("score", "mean"))
    found["apart"] = found["high"] - found["low"]
    if order == DISAGREEMENT:
        found = found.sort_values("apart", ascending=False, kind="stable")
    elif order == WORST:
        found = found.sort_values("mean", kind="stable")
    entries = [(_entry(row), "/".join(index)) for index, row in found.head(MAX_LISTED).iterrows()]
    return Listed(entries, max(0, len(found) - MAX_LISTED))


def _entry(row: "pd.Series[object]") -> str:
    """ "0.12 to 0.87 · segment the crab"."""
    low, high = float(str(row["low"])), float(str(row["high"]))
    scores = "no score" if np.isnan(low) else f"{low:.2f}" if high - low < 0.005 else f"{low:.2f} to {high:.2f}"
    return f"{scores} · {row['prompt']}"


def step(entries: Sequence[tuple[str, str]], current: str | None, by: int) -> str | None:
    """The previous or next sample; wraps around at the ends."""
    values = [value for _, value in entries]
    if not values:
        return None
    return values[(values.index(current) + by) % len(values)] if current in values else values[0]


# -- the cards -----------------------------------------------------------------------------------------------------


def sample_html(results: Results, library: Library, filters: Filters, key: str | None) -> str:
    """Cards of a sample: the right answer, and each method's answer. key: "run/split/id", possibly invalid."""
    run, records = _records(results, filters, key)
    if run is None or not records:
        return '<p class="muted">No sample matches these filters.</p>'
    first = records[0]
    sample, why = library.sample(run, first.split, first.sample)
    shown, note = _picture(sample) if sample is not None else (None, why)
    cards = [_truth_card(sample, shown), *(_method_card(record, shown) for record in records)]
    head = f'<p class="asked"><b>{literal(first.prompt)}</b> <span class="muted">{literal(_about(first))}</span></p>'
    remark = f'<div class="remark">{literal(note)}</div>' if note else ""
    return f'{head}{remark}<div class="cards">{"".join(cards)}</div>'


def _records(results: Results, filters: Filters, key: str | None) -> tuple[Run | None, list[Record]]:
    name, _, rest = (key or "").partition("/")
    split, _, sample = rest.partition("/")
    if (run := results.run(name)) is None:
        return None, []
    own = [record for record in run.records if (record.split, record.sample) == (split, sample)]
    return run, [record for record in own if not filters.methods or record.label in filters.methods]


def _about(record: Record) -> str:
    named = (name_of(name, getattr(record, name)) for name in ("dataset", "split", "kind"))
    return f"{' · '.join(named)} · {record.sample}"


def _picture(sample: Sample) -> tuple[Image.Image | None, str]:
    try:
        picture = sample.load_image()
    except DatasetError as error:
        return None, str(error)
    picture.thumbnail((SHOWN_PX, SHOWN_PX))
    return picture, ""


def _truth_card(sample: Sample | None, picture: Image.Image | None) -> str:
    """The right answer."""
    if isinstance(sample, QuestionSample):
        return card("right answer", stage(picture), " or ".join(sample.accepted), "", TRUTH_COLOUR)
    if not isinstance(sample, MaskSample):
        return ""
    if sample.no_target:
        return card("ground truth", stage(picture), "no matching object", "", TRUTH_COLOUR)
    try:
        mask = sample.truth().mask
    except DatasetError as error:
        return card("ground truth", stage(picture), str(error), "", TRUTH_COLOUR)
    return card(
        "ground truth", stage(picture, [mask], TRUTH_COLOUR), "", f"{mask.mean():.0%} of the picture", TRUTH_COLOUR
    )


def _method_card(record: Record, picture: Image.Image | None) -> str:
    paradigm = paradigm_of(record.label)
    outline = vertices(record.raw_output or "") if paradigm is POLYGON else []
    output = record.error if record.status == "error" else record.raw_output or record.text or ""
    try:
        masks = [decode_rle(code) for code in record.masks if _is_drawable(code)]
    except (TypeError, ValueError):
        masks = []
    if len(masks) < len(record.masks):
        output = UNREADABLE_MASKS
    return card(
        method_name(record.label),
        stage(picture, masks, paradigm.colour, outline),
        output or "",
        verdict(record),
        paradigm.colour,
    )


def _is_drawable(code: Rle) -> bool:
    """Whether a mask has a plausible picture size: decoding allocates its memory first."""
    return math.prod(code["size"]) <= DEFAULT_LIMITS.max_pixels


def verdict(record: Record) -> str:
    """ "IoU 0.87 · 0.17 s · 13 tokens"."""
    facts = []
    if record.status != "ok":
        facts.append({"invalid": "output could not be parsed", "error": "failed"}[record.status])
    if record.union is not None and record.intersection is not None:
        facts.append(f"IoU {iou_of(record):.2f}")
    if record.correct is not None:
        facts.append("right" if record.correct else "wrong")
    facts += [] if record.total_s is None else [seconds(record.total_s)]
    facts += [] if record.new_tokens is None else [f"{record.new_tokens} tokens"]
    return " · ".join(facts)


def card(title: str, picture: str, output: str, facts: str, colour: str) -> str:
    """HTML of one card. title, output, facts: plain text. picture: from `stage`. colour: hex."""
    return (
        f'<section class="card" style="border-top-color:{colour}"><header><b>{literal(title)}</b></header>{picture}'
        f'<p class="said" tabindex="0">{literal(output)}</p><p class="facts">{literal(facts)}</p></section>'
    )


def stage(
    picture: Image.Image | None,
    masks: Sequence[Mask] = (),
    colour: str = TRUTH_COLOUR,
    outline: Sequence[tuple[int, float, float]] = (),
) -> str:
    """SVG of the picture with masks, of any size, and vertices (contour, x, y in 0..1) over it."""
    if picture is None:
        return '<div class="no-picture muted">no picture</div>'
    width, height = picture.size
    images = [data_uri(picture, "WEBP"), *(mask_uri(shrink_mask(mask, (height, width)), colour) for mask in masks)]
    inner = "".join(f'<image href="{uri}" width="{width}" height="{height}"/>' for uri in images)
    contours: dict[int, list[tuple[float, float]]] = {}
    for contour, x, y in outline:
        contours.setdefault(contour, []).append((x * width, y * height))
    for points in contours.values():
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        inner += f'<polygon points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        inner += "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}" stroke="white"/>' for x, y in points
        )
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="picture with masks">{inner}</svg>'

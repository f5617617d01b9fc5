"""The results of a view: headline figures, the ranked table, pairwise comparisons, and five plots with captions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from benchmarks.scoring.curves import KINDS
from demo.board import plots, takeaways
from demo.board.export import download_links
from demo.board.filters import Filters, mixture, rows_of, samples_of, with_labels
from demo.board.learning import learning_figure, learning_words
from demo.board.pairing import pairs_of
from demo.board.ranking import SORT_SCRIPT, ranking_html
from demo.board.results import Results
from demo.board.throughput import throughput_html
from demo.board.verdicts import headline_html, matrices_html
from demo.chat.masks import Updates
from demo.html import literal
from demo.naming import Parts

#: Name and heading of each plot.
CHARTS: tuple[tuple[str, str], ...] = (
    ("glance", "Speed against accuracy"),
    ("trilemma", "Dialogue, accuracy, speed"),
    ("phases", "Where the time goes"),
    ("spread", "IoU of every sample"),
    ("tokens", "Tokens against time"),
)
#: How to read a plot, if that is not obvious.
LEGENDS = {
    "glance": "The area of a bubble is the peak memory. Bars are 95% intervals.",
    "trilemma": "Dialogue: share of questions answered right. Accuracy: gIoU. Speed: relative to the fastest method. "
    "1 is best.",
}


def add_compare(parts: Parts) -> None:
    """Fill the tab that is open."""
    parts["headline"] = gr.HTML("", elem_id="headline", padding=False)
    parts["table"] = gr.HTML("", js_on_load=SORT_SCRIPT, elem_id="table", padding=False)
    parts["links"] = gr.HTML("", elem_id="links", padding=False)
    parts["matrices"] = gr.HTML("", elem_id="matrices", padding=False)
    with gr.Row(elem_classes="charts"):
        for name, heading in CHARTS:
            options: dict[str, Any] = {"elem_classes": "chart", "elem_id": f"chart-{name}", "min_width": 330}
            with gr.Column(visible=False, **options) as parts[f"{name}_card"]:
                parts[f"{name}_words"] = gr.HTML(_words(name, heading, ""), padding=False)
                parts[f"{name}_plot"] = gr.Plot(show_label=False, container=False, elem_id=f"plot-{name}")
        with gr.Column(visible=False, elem_classes="chart", elem_id="chart-throughput") as parts["throughput_card"]:
            parts["throughput"] = gr.HTML("", padding=False)
        with gr.Column(visible=False, elem_classes="chart", elem_id="chart-learning") as parts["learning_card"]:
            parts["learning_words"] = gr.HTML("", padding=False)
            with gr.Row(elem_classes="panels"):
                for kind in KINDS:
                    parts[f"learning_{kind}"] = gr.Plot(
                        show_label=False, container=False, min_width=280, elem_id=f"plot-learning-{kind}"
                    )


def _words(name: str, heading: str, sentence: str) -> str:
    legend = f'<p class="muted legend">{LEGENDS[name]}</p>' if name in LEGENDS else ""
    return f'<h2>{heading}</h2><p class="takeaway">{literal(sentence)}</p>{legend}'


# -- what is shown -------------------------------------------------------------------------------------------------


def compare_view(results: Results, filters: Filters) -> Updates:
    """Every part of the comparison for these filters. Plots that have nothing to show are hidden."""
    rows = with_labels(rows_of(filters, results))
    samples = with_labels(samples_of(filters, results))
    masks = samples[samples["correct"].isna() & samples["iou"].notna()]
    timed = masks.dropna(subset=["tokens", "total_s"])
    pairs = pairs_of(results, filters, rows)
    sentences = (
        takeaways.verdict(rows, pairs),
        takeaways.balance(rows),
        takeaways.longest_phase(rows),
        takeaways.spread(masks),
        takeaways.token_cost(timed),
    )
    draw: tuple[Callable[[], Any], ...] = (
        partial(plots.glance, rows),
        partial(plots.trilemma, rows),
        partial(plots.phases, rows),
        partial(plots.iou_spread, masks),
        partial(plots.tokens, timed),
    )
    updates: Updates = {
        "mixture": note(mixture(rows)),
        "headline": headline_html(rows, pairs),
        "table": ranking_html(rows, pairs),
        "links": download_links(rows),
        "matrices": matrices_html(rows, pairs),
    }
    for (name, heading), sentence, one in zip(CHARTS, sentences, draw, strict=True):
        figure = one()
        updates[f"{name}_card"] = gr.Column(visible=bool(figure.data))
        updates[f"{name}_words"] = _words(name, heading, sentence)
        updates[f"{name}_plot"] = figure
    return updates


def unfiltered_view(results: Results) -> Updates:
    """What no filter changes: throughput and learning curves, hidden where there are none."""
    words: Updates = {
        "throughput_card": gr.Column(visible=results.throughput is not None),
        "throughput": throughput_html(results.throughput),
        "learning_card": gr.Column(visible=bool(results.curves)),
        "learning_words": learning_words(results.curves),
    }
    return words | {f"learning_{kind}": learning_figure(results.curves, kind) for kind in KINDS}


def note(sentence: str) -> str:
    """HTML of a remark that is not an error; empty without one."""
    return f'<div class="remark" role="note">{literal(sentence)}</div>' if sentence else ""

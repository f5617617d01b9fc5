"""The comparison: five plots, each with its sentence, and the table behind them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr
import pandas as pd

from demo.board import plots, takeaways
from demo.board.filters import Filters, mixture, rows_of, samples_of, with_labels
from demo.board.results import Results
from demo.board.table import download_links, styled_table
from demo.chat.chat import literal
from demo.naming import Parts, Updates

#: Name, heading, and what is drawn, of each plot.
CHARTS: tuple[tuple[str, str], ...] = (
    ("glance", "Speed against accuracy"),
    ("trilemma", "Dialogue, accuracy, speed"),
    ("phases", "Where the time goes"),
    ("spread", "IoU of every sample"),
    ("tokens", "Tokens against time"),
)


def add_compare(parts: Parts) -> None:
    """Fill the tab that is open."""
    with gr.Row(elem_classes="charts"):
        for name, heading in CHARTS:
            with gr.Column(min_width=330, elem_classes="chart", elem_id=f"chart-{name}"):
                parts[f"{name}_words"] = gr.HTML(_words(heading, ""), padding=False)
                parts[f"{name}_plot"] = gr.Plot(show_label=False, container=False, elem_id=f"plot-{name}")
    gr.HTML("<h3>Table</h3>", padding=False)
    parts["table"] = gr.Dataframe(
        show_label=False, interactive=False, pinned_columns=1, wrap=False, max_height=420, elem_id="table"
    )
    parts["links"] = gr.HTML("", elem_id="links", padding=False)


def _words(heading: str, sentence: str) -> str:
    return f'<h3>{heading}</h3><p class="takeaway">{literal(sentence)}</p>'


# -- what is shown -------------------------------------------------------------------------------------------------


def compare_view(results: Results, filters: Filters) -> Updates:
    """Every part of the comparison for these filters."""
    rows = with_labels(rows_of(filters, results))
    samples = with_labels(samples_of(filters, results))
    masks = samples[samples["correct"].isna() & samples["iou"].notna()]
    timed = masks.dropna(subset=["tokens", "total_s"])
    sentences = (
        takeaways.verdict(rows),
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
    updates: Updates = {"mixture": note(mixture(rows)), "links": download_links(rows), "table": _table(rows)}
    for (name, heading), sentence, figure in zip(CHARTS, sentences, draw, strict=True):
        updates[f"{name}_words"] = _words(heading, sentence)
        updates[f"{name}_plot"] = figure()
    return updates


def note(sentence: str) -> str:
    """HTML of a remark that is no error; empty for none."""
    return f'<div class="remark" role="note">{literal(sentence)}</div>' if sentence else ""


def _table(rows: pd.DataFrame) -> Any:
    return gr.Dataframe(value=None if rows.empty else styled_table(rows), visible=not rows.empty)

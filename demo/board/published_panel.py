"""Layout and events of the panel with the literature's figures."""

from typing import Any

import gradio as gr
import pandas as pd

from demo.board.published import (
    AVERAGE,
    WARNING,
    benchmarks_in,
    published_figure,
    published_table,
    read_published,
    sources_html,
    takeaway,
)
from demo.html import literal, notice


def add_published() -> None:
    """Fill the tab that is open."""
    table = read_published()
    gr.HTML(f'<div class="remark">{literal(WARNING)}</div>', padding=False)
    benchmark = gr.Dropdown(
        label="Benchmark", choices=benchmarks_in(table), value=AVERAGE, elem_id="published-benchmark"
    )
    words = gr.HTML(_words(table, AVERAGE), padding=False)
    plot = gr.Plot(published_figure(table, AVERAGE), show_label=False, container=False, elem_id="plot-published")
    rows = gr.Dataframe(
        published_table(table, AVERAGE),
        show_label=False,
        interactive=False,
        pinned_columns=1,
        elem_id="published-table",
    )
    sources = gr.HTML(sources_html(table, AVERAGE), padding=False)

    def show(name: str) -> Any:
        if name not in set(table["benchmark"]):
            return notice("This benchmark is not in the list."), gr.skip(), gr.skip(), gr.skip()
        figures = published_figure(table, name), published_table(table, name), sources_html(table, name)
        return _words(table, name), *figures

    benchmark.input(show, [benchmark], [words, plot, rows, sources], show_progress="hidden", api_visibility="private")


def _words(table: pd.DataFrame, benchmark: str) -> str:
    return f'<p class="takeaway">{literal(takeaway(table, benchmark))}</p>'

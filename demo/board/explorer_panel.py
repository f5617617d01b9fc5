"""Layout and events of the sample explorer."""

from functools import partial
from typing import Any

import gradio as gr

from demo.board.explorer import ORDERS, listed, sample_html, step
from demo.board.filters import Filters, checked, chosen
from demo.board.library import Library
from demo.board.results import Results, ResultStore
from demo.chat.masks import Updates
from demo.naming import Parts, by_name


def add_explorer(parts: Parts) -> None:
    """Fill the tab that is open."""
    with gr.Row(elem_id="explorer-bar"):
        parts["order"] = gr.Dropdown(
            label="Order", choices=list(ORDERS), value=ORDERS[0], elem_id="order", min_width=270
        )
        parts["sample"] = gr.Dropdown(label="Sample", choices=[], value=None, elem_id="sample", min_width=260, scale=3)
        parts["previous"] = gr.Button("← Previous", size="sm", elem_id="previous", min_width=90)
        parts["next"] = gr.Button("Next →", size="sm", elem_id="next", min_width=90)
    parts["left_out"] = gr.HTML("", elem_id="left-out", padding=False)
    parts["cards"] = gr.HTML("", elem_id="cards", padding=False)


def explorer_view(results: Results, filters: Filters, order: str = ORDERS[0]) -> Updates:
    """The list for these filters; the cards follow when its value changes."""
    found = listed(results, filters, order if order in ORDERS else ORDERS[0])
    values = [value for _, value in found.entries]
    more = f'<p class="muted">{found.left_out} more samples not shown. Narrow the list with the filters.</p>'
    return {
        "sample": gr.Dropdown(choices=found.entries, value=values[0] if values else None),
        "order": order,
        "left_out": more if found.left_out else "",
    }


def wire_explorer(store: ResultStore, library: Library, parts: Parts, filters: list[Any]) -> None:
    """Connect list, order, buttons and cards."""
    # preprocess=False: `checked` looks at the values. Gradio would refuse them where it no longer has the session.
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "preprocess": False}

    def seen(values: tuple[Any, ...]) -> tuple[Results, Filters]:
        results = store.get()
        return results, checked(chosen(values), results)[0]

    def reorder(order: Any, *values: Any) -> Updates:
        return explorer_view(*seen(values), order)

    def turn(by: int, order: Any, current: Any, *values: Any) -> Any:
        return step(listed(*seen(values), order).entries, current, by)

    def show(current: Any, *values: Any) -> str:
        results, filters = seen(values)
        return sample_html(results, library, filters, current if isinstance(current, str) else None)

    outputs = [parts[name] for name in ("sample", "order", "left_out")]
    parts["order"].input(by_name(parts, reorder), [parts["order"], *filters], outputs, **quiet)
    for name, by in (("previous", -1), ("next", 1)):
        inputs = [parts["order"], parts["sample"], *filters]
        parts[name].click(partial(turn, by), inputs, [parts["sample"]], **quiet)
    parts["sample"].change(show, [parts["sample"], *filters], [parts["cards"]], **quiet)

"""Layout and events of the tab "Live run", and the notice of both live features while the model loads."""

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr
import pandas as pd

from demo.board.library import Library
from demo.board.live import DEFAULT_METHODS, MethodPool
from demo.board.live_run import MAX_SAMPLES, Order, Progress, committed, progress_html, run_events
from demo.board.names import method_name
from demo.board.race_panel import NO_METHODS, halt, left_out_html
from demo.board.results import ALL, ResultStore
from demo.chat.masks import Updates
from demo.html import literal, notice
from demo.loading import LOADING
from demo.naming import Parts, by_name, by_visitor

INTRO = (
    "Measure a few samples on this server, from the dataset, split and task selected above. The results appear beside "
    "the stored ones for the same samples. Few samples give wide intervals."
)
DEFAULT_SAMPLES = 6
DEFAULT_DATASET = "scenes"


def add_live_run(parts: Parts, pool: MethodPool) -> None:
    """Fill the tab that is open."""
    parts["live_stop"] = gr.State(None)
    gr.HTML(f'<p class="muted">{literal(INTRO)}</p>', padding=False)
    with gr.Row():
        parts["live_methods"] = gr.CheckboxGroup(
            label="Methods", choices=[], elem_id="live-methods", scale=2, min_width=300
        )
        parts["live_n"] = gr.Slider(
            1, MAX_SAMPLES, DEFAULT_SAMPLES, step=1, label="Samples", elem_id="live-n", min_width=240
        )
    with gr.Row():
        parts["live_go"] = gr.Button("Start live run", variant="primary", elem_id="live-go")
        parts["live_halt"] = gr.Button("Cancel", visible=False, elem_id="live-halt")
    parts["live"] = gr.HTML(notice(pool.refusal() or ""), elem_id="live", padding=False)


def await_methods(pool: MethodPool) -> Updates:
    """The methods that can run, once the model is loaded. The timer stops when nothing will change any more."""
    refusal = pool.refusal()
    if refusal == LOADING:
        return {}
    labels = pool.labels()
    choices = [(method_name(label), label) for label in labels]
    started = [label for label in labels if label in DEFAULT_METHODS] or labels
    boxes: Updates = {
        name: gr.CheckboxGroup(choices=choices, value=started) for name in ("race_methods", "live_methods")
    }
    message = notice(refusal or "")
    buttons = {name: gr.Button(interactive=refusal is None) for name in ("race_go", "live_go")}
    notices = {"race_status": message, "live": message, "race_left_out": left_out_html(pool)}
    return boxes | buttons | notices | {"live_timer": gr.Timer(active=False)}


def run_live(
    pool: MethodPool,
    store: ResultStore,
    library: Library,
    labels: list[str] | None,
    n: float,
    dataset: str,
    split: str,
    kind: str,
    visitor: str = "",
) -> Iterator[Updates]:
    """Run, and show each answer's effect on the figures as it comes."""
    known = [label for label in pool.labels() if label in (labels or [])]
    sentence = pool.refusal() or pool.pause(visitor) or ("" if known else NO_METHODS)
    if sentence:
        yield {"live": notice(sentence)}
        return
    results = store.get()
    order = Order(
        dataset_of(results.rows, dataset, split), split, kind, tuple(known), min(max(int(n), 1), MAX_SAMPLES), visitor
    )
    progress, stop, before = Progress(order), threading.Event(), partial(committed, results, library)
    yield {"live_stop": stop, "live": progress_html(progress, before, progress.state()), **_buttons(is_running=True)}
    was_stopped = False
    for events in run_events(pool, library, order, stop):
        for event in events:
            progress.take(event)
        yield {"live": progress_html(progress, before, progress.state())} if events else {}
        was_stopped = stop.is_set()  # the run itself sets it when it ends
    ended = progress.ending(stopped=was_stopped)
    yield {"live": progress_html(progress, before, ended), **_buttons(is_running=False)}


def dataset_of(rows: pd.DataFrame, dataset: str, split: str) -> str:
    """The dataset to run on: the chosen one, or else one that has the chosen split. rows: the stored results."""
    if dataset in set(rows["dataset"]):
        return dataset
    having = set(rows["dataset"] if split == ALL else rows.loc[rows["split"] == split, "dataset"])
    return DEFAULT_DATASET if DEFAULT_DATASET in having or not having else min(having)


def _buttons(*, is_running: bool) -> Updates:
    return {"live_go": gr.Button(interactive=not is_running), "live_halt": gr.Button(visible=is_running)}


def wire_live_run(pool: MethodPool, store: ResultStore, library: Library, parts: Parts) -> None:
    """Connect buttons and the timer that waits for the model."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    names = ("race_methods", "live_methods", "race_go", "live_go", "race_status", "race_left_out", "live", "live_timer")
    parts["live_timer"].tick(
        by_name(parts, partial(await_methods, pool)), None, [parts[name] for name in names], **quiet
    )
    inputs = [parts[name] for name in ("live_methods", "live_n", "dataset", "split", "kind")]
    outputs = [parts[name] for name in ("live_stop", "live", "live_go", "live_halt")]
    run = by_visitor(parts, partial(run_live, pool, store, library))
    parts["live_go"].click(run, inputs, outputs, concurrency_id="live", concurrency_limit=8, **quiet)
    parts["live_halt"].click(halt, [parts["live_stop"]], concurrency_limit=None, **quiet)

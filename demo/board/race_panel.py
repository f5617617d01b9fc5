"""Layout and events of the race."""

import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.board.live import CAP_S, MethodPool, Refused
from demo.board.names import method_name
from demo.board.race import Began, Entry, Lane, race_events, replay
from demo.chat.masks import Updates
from demo.chat.picture import DECODING, FileImage
from demo.chat.visit import shrink_picture
from demo.decoding import DECODER
from demo.html import literal, notice
from demo.naming import Parts, by_name, by_visitor
from stamp.pictures.images import ImageError

log = logging.getLogger(__name__)

SCRIPT = Path(__file__).with_name("race.js")
NO_PICTURE = "Choose a picture first."
NO_METHODS = "Select at least one method."
NO_LANE = "Stopped before any method had answered."
PICTURE_FAILED = "The picture could not be read. Please try another one."
INTRO = (
    "The selected methods answer one after another on this server; then their answers replay side by side at real "
    f"speed. After {CAP_S:.0f} s a race is cut off. Methods that are cut off, or whose output cannot be parsed, are "
    "shown but not ranked."
)

Example = tuple[Path, str]
#: The race begins with a picture on which every compared method draws something that can be compared.
FIRST_EXAMPLE = "poodle.webp"


def race_order(examples: list[Example]) -> list[Example]:
    """The race's own order of examples."""
    return sorted(examples, key=lambda example: example[0].name != FIRST_EXAMPLE)


def add_race(parts: Parts, pool: MethodPool, examples: list[Example]) -> None:
    """Fill the tab that is open."""
    picture, prompt = (str(examples[0][0]), examples[0][1]) if examples else (None, "")
    parts["race_stop"] = gr.State(None)
    gr.HTML(f'<p class="muted">{literal(INTRO)}</p>', padding=False)
    parts["race_left_out"] = gr.HTML("", elem_id="race-left-out", padding=False)
    with gr.Row(elem_id="race-form"):
        parts["race_picture"] = FileImage(
            label="Picture", type="filepath", sources=["upload", "clipboard"], value=picture,
            height=230, min_width=240, elem_id="race-picture", buttons=["fullscreen"],
        )  # fmt: skip
        with gr.Column(scale=2, min_width=300):
            parts["race_prompt"] = gr.Textbox(label="Prompt", value=prompt, max_lines=3, elem_id="race-prompt")
            parts["race_methods"] = gr.CheckboxGroup(label="Methods", choices=[], elem_id="race-methods")
            with gr.Row():
                parts["race_go"] = gr.Button("Race", variant="primary", elem_id="race-go")
                parts["race_halt"] = gr.Button("Stop", visible=False, elem_id="race-halt")
            if examples:
                parts["race_examples"] = gr.Dataset(
                    label="Examples", components=[gr.Textbox(render=False)], type="index",
                    samples=[[words] for _, words in examples], elem_id="race-examples",
                )  # fmt: skip
    parts["race_status"] = gr.HTML(notice(pool.refusal() or ""), elem_id="race-status", padding=False)
    parts["race"] = gr.HTML(
        value={}, html_template='<div class="race"></div>', js_on_load=SCRIPT.read_text(encoding="utf-8"),
        elem_id="race", padding=False,
    )  # fmt: skip


def left_out_html(pool: MethodPool) -> str:
    """Which methods cannot race here, and why."""
    reasons = [f"{method_name(label)} ({why})" for label, why in pool.left_out().items()]
    return f'<p class="muted">Not in the race: {literal("; ".join(reasons))}.</p>' if reasons else ""


def choose_example(examples: list[Example], index: int) -> Updates:
    """An example's picture and words."""
    path, prompt = examples[index]
    return {"race_picture": str(path), "race_prompt": prompt}


def run_race(
    pool: MethodPool, path: str | None, prompt: str | None, labels: list[str] | None, visitor: str = ""
) -> Iterator[Updates]:
    """Run the race and show where it is, then the replay."""
    try:
        entry = _entry(pool, path, prompt or "", labels or [], visitor)
    except ValueError as error:
        yield {"race_status": notice(str(error))}
        return
    stop = threading.Event()
    yield {"race_stop": stop, "race": {}, "race_status": _status("Starting…"), **_buttons(is_running=True)}
    lanes: list[Lane] = []
    refused = ""
    for events in race_events(pool, entry, stop):
        updates: Updates = {}
        for event in events:
            match event:
                case Began():
                    where = f"({event.number + 1} of {len(entry.labels)})"
                    updates["race_status"] = _status(f"{method_name(event.label)} is answering {where}…")
                case Refused():
                    refused = event.sentence
                case Lane():
                    lanes.append(event)
        yield updates
    shown = replay(entry, lanes) if lanes else {}
    message = "" if lanes else notice(refused or NO_LANE)
    yield {"race": shown, "race_status": message, **_buttons(is_running=False)}


def _entry(pool: MethodPool, path: str | None, prompt: str, labels: list[str], visitor: str) -> Entry:
    """Check what a visitor gave. Raises ValueError with a sentence for them."""
    if (sentence := pool.refusal() or pool.pause(visitor)) is not None:
        raise ValueError(sentence)
    chosen = tuple(label for label in pool.labels() if label in labels)
    if not chosen:
        raise ValueError(NO_METHODS)
    if path is None:
        raise ValueError(NO_PICTURE)
    predictor = pool.slot.get()
    predictor.check_prompt(prompt)
    try:
        with DECODING:
            picture = shrink_picture(DECODER.load(path, predictor.image_limits))
    except ImageError:
        raise
    except Exception as error:
        log.exception("a picture could not be read")
        raise ValueError(PICTURE_FAILED) from error
    return Entry(picture, prompt, chosen, visitor)


def _status(sentence: str) -> str:
    return f'<p class="muted" role="status">{literal(sentence)}</p>'


def _buttons(*, is_running: bool) -> Updates:
    return {"race_go": gr.Button(interactive=not is_running), "race_halt": gr.Button(visible=is_running)}


def halt(stop: threading.Event | None) -> None:
    """End a run after the token that is being written."""
    if stop is not None:
        stop.set()


def wire_race(pool: MethodPool, examples: list[Example], parts: Parts) -> None:
    """Connect examples and buttons."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    names = ("race_stop", "race", "race_status", "race_go", "race_halt", "race_picture", "race_prompt")
    outputs = [parts[name] for name in names]
    inputs = [parts[name] for name in ("race_picture", "race_prompt", "race_methods")]
    run = by_visitor(parts, partial(run_race, pool))
    parts["race_go"].click(run, inputs, outputs, concurrency_id="live", concurrency_limit=8, **quiet)
    parts["race_halt"].click(halt, [parts["race_stop"]], concurrency_limit=None, **quiet)
    if "race_examples" in parts:
        pick = by_name(parts, partial(choose_example, examples))
        parts["race_examples"].click(pick, [parts["race_examples"]], outputs, **quiet)

"""The page's event handlers: plain functions from what a visitor did to what changes on the page.

They return updates keyed by component name (see `demo.ui`); other components stay unchanged, so bad input loses
nothing.
"""

import logging
from pathlib import Path

import gradio as gr

from demo.chat.answering import ready_box
from demo.chat.masks import Updates, download_updates
from demo.chat.picture import DECODING
from demo.chat.visit import Visit
from demo.decoding import DECODER
from demo.html import literal, notice
from demo.loading import ModelInfo, ModelSlot
from stamp import __version__
from stamp.pictures.images import ImageError

log = logging.getLogger(__name__)

#: Of the name of a file in a message.
MAX_NAME_CHARS = 60
PICTURE_FAILED = "The picture could not be read. Please try again, or choose another one."
PUBLISHED = "python app.py --model 2b"


# -- the model line --------------------------------------------------------------------------------------------


def model_line(slot: ModelSlot) -> str:
    """HTML that says which model answers, where, in which precision, and what the embedded one is."""
    info = slot.info
    if info is None:
        state = "failed" if slot.has_failed else "loading"
        return f'<div class="model-line {state}" role="status">{literal(slot.status())}</div>'
    return f'<div class="model-line ready" role="status"><b>{literal(slot.status())}</b>{about(info)}</div>'


def about(info: ModelInfo) -> str:
    """HTML: what the embedded model was trained on, and how to run the published ones."""
    if not info.is_embedded:
        return ""
    return (
        "<br>A tiny model, trained for this page on drawings and photographs. "
        "It knows everyday objects such as an apple, a car or a cat. "
        f"For a larger model, run a published checkpoint: <code>{PUBLISHED}</code>"
    )


def footer(slot: ModelSlot) -> str:
    """HTML that says which version of the page this is, and of which model."""
    return f'<p class="muted">STAMP demo {__version__} · model {literal(slot.name)}</p>'


def watch_loading(slot: ModelSlot) -> Updates:
    """The current model line, and whether there is a choice of speed; stops its timer once nothing can change."""
    timer = gr.Timer(active=not (slot.is_ready or slot.has_failed))
    return {"model_line": model_line(slot), "fast": gr.Checkbox(visible=slot.is_slow), "timer": timer}


# -- the picture -----------------------------------------------------------------------------------------------


def choose_picture(path: str | None, visit: Visit | None) -> Updates:
    """Begin a visit with an uploaded file. A file that is refused leaves picture and dialogue as they are."""
    if path is None:
        return {}
    try:
        with DECODING:
            fresh = Visit(DECODER.load(path))
    except ImageError as error:
        return {"picture": None, "picture_notice": notice(f"“{Path(path).name[:MAX_NAME_CHARS]}”: {error}")}
    except Exception:
        log.exception("a picture could not be read")
        return {"picture": None, "picture_notice": notice(PICTURE_FAILED)}
    if visit is not None:
        visit.leave()
    return show_visit(fresh)


def choose_example(path: Path, prompt: str, visit: Visit | None) -> Updates:
    """Begin a visit with an example; its prompt goes into the box."""
    return {**choose_picture(str(path), visit), "prompt": ready_box(prompt)}


def choose_noun(chosen: list[str]) -> Updates:
    """Put a request for a thing the model knows into the box."""
    return {"prompt": ready_box(f"segment the {chosen[0]}")}


def change_picture() -> Updates:
    """Show the upload area again; the current picture stays until another one is accepted."""
    return {"input_panel": gr.Column(visible=True), "keep": gr.Button(visible=True)}


def keep_picture() -> Updates:
    """Hide the upload area again."""
    return {"input_panel": gr.Column(visible=False), "picture_notice": ""}


def restart(visit: Visit | None) -> Updates:
    """A new dialogue about the same picture."""
    return {"chat": [], "chat_notice": ""} if visit is None else show_visit(visit.restarted())


def show_visit(visit: Visit) -> Updates:
    """The page at the beginning of a visit."""
    return {
        "visit": visit,
        "number": visit.number,
        "picture": None,
        "picture_notice": "",
        "input_panel": gr.Column(visible=False),
        "stage_panel": gr.Column(visible=True),
        "stage": visit.draw(),
        "chat": [],
        "chat_notice": "",
        "prompt": ready_box(),
        "mask_panel": gr.Column(visible=False),
        "masks": "",
        "opacity": round(100 * visit.opacity),
        **download_updates(visit),
    }


# -- the masks -------------------------------------------------------------------------------------------------


def set_opacity(percent: float, visit: Visit | None) -> Updates:
    """Draw the masks with another opacity, 0..100."""
    if visit is None:
        return {}
    with visit.lock:
        visit.opacity = min(max(percent, 0), 100) / 100
        return {"stage": visit.draw()}


def stop_answer(visit: Visit | None) -> None:
    """End the answer after the current token; what is written stays."""
    if visit is not None:
        visit.stop.set()

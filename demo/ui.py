"""Layout and wiring of the page. What happens on an event is in `demo.handlers`."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo import handlers
from demo.about import add_about
from demo.api import add_endpoint
from demo.board.dashboard import add_dashboard, remember_tabs
from demo.board.live import MethodPool
from demo.board.sources import Sources
from demo.chat.asking import ask, ask_again, edit_question, refinements, save_conversation
from demo.chat.gallery import EXAMPLES, Example, gallery_html, read_examples
from demo.chat.gallery import SCRIPT as GALLERY_SCRIPT
from demo.chat.known import read_known
from demo.chat.masks import SCRIPT as MASKS_SCRIPT
from demo.chat.masks import Updates, pick_mask
from demo.chat.picture import FileImage
from demo.chat.visit import Visit
from demo.loading import ModelSlot
from demo.naming import Parts, by_name, by_pick, by_visit
from demo.security.admission import MAX_EVENTS, PICTURE, admit
from demo.security.guard import guarded_server
from demo.security.limits import Limits
from demo.security.page import Page
from demo.security.presence import STILL_OPEN_S
from demo.theme import css, theme
from stamp.refinement import check_refiner_name

ONE_HOUR_S = 3600
#: Most questions that wait for the model; more wait in Gradio's queue.
MAX_WAITING = 8
#: Number of visitors whose pictures are read at the same time; see `demo.chat.picture.DECODING`.
MAX_DECODED = 2
#: Sessions that Gradio keeps data for, 0.3 MB each. Nothing is kept for sessions that have left
#: (`demo.security.housekeeping`).
MAX_SESSIONS = 300
HERO = (
    "<h1>STAMP</h1><p>Chat about a picture. Each thing the answer points to gets its own mask, predicted in one "
    "parallel pass.</p>"
)
FAST = "Fast: look at a quarter of the pixels. Small things and fine edges get lost."
SCROLL_TO_TOP = "() => { document.querySelector('#sides').scrollIntoView({ behavior: 'smooth' }); return []; }"
#: Reads the box itself, because Gradio passes the value before the last key press.
SEARCH = """() => {
  const words = document.querySelector("#search input").value.trim().toLowerCase();
  for (const item of document.querySelectorAll("#nouns .gallery-item"))
    item.hidden = !item.textContent.toLowerCase().includes(words);
}"""
FOCUS = "() => document.querySelector('#prompt textarea').focus()"
#: The file of a conversation is fetched at once, by its link among the downloads, unless a notice says why not.
FETCH = """() => {
  if (!document.querySelector("#chat-notice .notice"))
    document.querySelector('#downloads a[download="conversation.html"]')?.click();
}"""
CHAT_PLACEHOLDER = (
    "**Ask about your picture**\n\n“segment the apple” · “what is on the left?” · “how many cars?”\n\n"
    "Each mask has the colour of its name. Click either to select it."
)
COPY_SCRIPT = Path(__file__).parent / "chat" / "copy.js"
KEYS_SCRIPT = Path(__file__).parent / "chat" / "keys.js"
DROP_SCRIPT = Path(__file__).parent / "chat" / "drop.js"


def build_demo(
    slot: ModelSlot, examples: Path = EXAMPLES, sources: Sources | None = None, limits: Limits | None = None
) -> Page:
    """The page of one model, with the results of `sources`. Launch it with `launch_options()`."""
    options: dict[str, Any] = {"analytics_enabled": False, "delete_cache": (ONE_HOUR_S, ONE_HOUR_S)}
    demo = Page(title="STAMP", slot=slot, limits=limits, **options)
    with demo:
        gr.HTML(HERO, elem_id="hero", padding=False)
        parts: Parts = {"model_line": gr.HTML(handlers.model_line(slot), elem_id="model", padding=False)}
        parts["timer"] = gr.Timer(1.0)
        samples = read_examples(examples)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Chat & segment", id="chat") as chat:
                with gr.Row(equal_height=False, elem_id="sides"):
                    with gr.Column(scale=6, min_width=320, elem_id="picture-side"):
                        _picture_column(parts)
                    with gr.Column(scale=5, min_width=320, elem_id="chat-side"):
                        _chat_column(parts)
                if samples:
                    parts["examples"] = gr.HTML(
                        gallery_html(samples), js_on_load=GALLERY_SCRIPT, elem_id="examples", padding=False
                    )
                _more_row(parts, slot)
            with gr.Tab("Benchmark", id="benchmark") as board:
                sources = sources or Sources()
                pool = MethodPool(slot, is_on=sources.is_live, pause_s=demo.limits.pause_s)
                add_dashboard(demo, tabs, board, sources, pool, samples)
            with gr.Tab("About", id="about") as about:
                add_about()
        remember_tabs(chat, about)
        gr.HTML(handlers.footer(slot), elem_id="versions", padding=False)
        add_endpoint(slot, demo)
        _wire(demo, slot, parts, samples)
    # api_open=False: nothing bypasses the queue. `demo.security.admission` decides how many events may wait, and never
    # lets in as many as Gradio is told here. Without a number Gradio would let one event wait on ZeroGPU.
    demo.queue(api_open=False, max_size=MAX_EVENTS + demo.limits.waiting, default_concurrency_limit=4)
    admit(demo)
    return demo


def launch_options() -> dict[str, Any]:
    """Keyword arguments of `launch()`: nothing leaves the machine, no error text reaches a visitor.

    The security of the page depends on SAFETY; tests/demo/attacks checks what each of its entries closes.
    """
    # _frontend: Gradio would give up where its own first request takes over three seconds, as on a busy machine.
    return {"theme": theme(), "css": css(), "footer_links": ["api", "settings"], "_frontend": False, **SAFETY}


#: Security depends on each of these: without any one of them, something is open to strangers.
SAFETY: dict[str, Any] = {
    # Requests pass `demo.security.gate`, and what visitors leave behind is cleared away.
    "app_kwargs": {"lifespan": guarded_server},
    # CVE-2026-134825: the routes of Gradio's run history, before 6.32, are closed by this and by the gate alone.
    "run_history": False,
    # With SSR, a Node server would sit in front of the gate.
    "ssr_mode": False,
    "mcp_server": False,  # GRADIO_MCP_SERVER would open another way to the handlers
    "pwa": False,
    "num_workers": 0,  # GRADIO_NUM_WORKERS would serve uploads from processes that have no gate
    # Otherwise the text of an exception, with paths and values, reaches the visitor.
    "show_error": False,
    # Who asked for what, and how long it took.
    "enable_monitoring": False,
    # Slightly above the loader's limit, which has the better message.
    "max_file_size": "25mb",
    "state_session_capacity": MAX_SESSIONS,
    # Not None, which reads GRADIO_ALLOWED_PATHS only when it is empty: no folder of the server is ever served.
    "allowed_paths": [],
    "strict_cors": True,
}


# -- layout ----------------------------------------------------------------------------------------------------


def _picture_column(parts: Parts) -> None:
    with gr.Column(elem_id="input-panel") as parts["input_panel"]:
        parts["picture"] = FileImage(
            label="Picture",
            type="filepath",
            sources=["upload", "clipboard", "webcam"],
            interactive=True,
            height=360,
            elem_id="picture",
            buttons=["fullscreen"],  # without "share", which sends a picture to the Hub
            placeholder="# Drop or paste a picture\nor click to choose a file",
        )
        parts["picture_notice"] = gr.HTML("", elem_id="picture-notice", padding=False)
        parts["keep"] = gr.Button("Keep current picture", size="sm", visible=False, elem_id="keep")
    with gr.Column(visible=False, elem_id="stage-panel") as parts["stage_panel"]:
        parts["stage"] = gr.Image(
            label="Picture and masks",
            show_label=False,
            format="png",
            interactive=False,
            height=420,
            buttons=["download", "fullscreen"],
            alt_text="The picture with its masks",
            elem_id="stage",
        )
        parts["change"] = gr.Button("Change picture", size="sm", elem_id="change")
        with gr.Column(visible=False, elem_id="mask-panel") as parts["mask_panel"]:
            parts["masks"] = gr.HTML(
                "", js_on_load=MASKS_SCRIPT.read_text(encoding="utf-8"), elem_id="masks", padding=False
            )
            parts["opacity"] = gr.Slider(0, 100, 55, step=5, label="Mask opacity (%)", elem_id="opacity")
        parts["downloads"] = gr.File(
            label="Downloads for this answer", file_count="multiple", interactive=False, visible=False,
            elem_id="downloads",
        )  # fmt: skip
        with gr.Accordion("Earlier downloads", open=False, visible=False, elem_id="earlier") as parts["earlier_panel"]:
            parts["earlier"] = gr.File(show_label=False, file_count="multiple", interactive=False)


def _chat_column(parts: Parts) -> None:
    parts["chat"] = gr.Chatbot(
        label="Conversation",
        show_label=False,
        height=340,
        placeholder=CHAT_PLACEHOLDER,
        # Together with `demo.html.literal`: no markup from a visitor or from the model is rendered, and
        # nothing is sent to the Hub ("share").
        buttons=[],
        latex_delimiters=[],
        allow_tags=False,
        group_consecutive_messages=False,
        feedback_options=None,
        elem_id="chat",
    )
    parts["chat_notice"] = gr.HTML("", elem_id="chat-notice", padding=False)
    # The browser sends it with each question, which may wait until the page shows another visit.
    parts["number"] = gr.Number(0, visible="hidden", elem_id="number")
    parts["prompt"] = gr.Textbox(
        label="Your question",
        show_label=False,
        placeholder="Ask: segment the apple",
        lines=1,
        max_lines=6,
        submit_btn="Send",
        html_attributes=gr.InputHTMLAttributes(enterkeyhint="send"),
        elem_id="prompt",
    )
    parts["fast"] = gr.Checkbox(label=FAST, value=False, visible=False, elem_id="fast")  # see `watch_loading`
    with gr.Row(elem_id="again"):
        parts["retry"] = gr.Button("Try again", size="sm", min_width=80, elem_id="retry")
        parts["edit"] = gr.Button("Edit question", size="sm", min_width=80, elem_id="edit")
        parts["copy"] = gr.Button("Copy answer", size="sm", min_width=80, elem_id="copy")
        parts["save"] = gr.Button("Save chat", size="sm", min_width=80, elem_id="save")
        parts["restart"] = gr.Button("New chat", size="sm", min_width=80, elem_id="restart")


def _more_row(parts: Parts, slot: ModelSlot) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320), gr.Accordion("Mask edges", open=False, elem_id="settings"):
            parts["refine"] = gr.Radio(
                choices=[(label, name) for name, label in refinements(slot).items()],
                value=check_refiner_name("auto"),
                label="Edge refinement (applies to new answers)",
                elem_id="refine",
            )
        if slot.is_embedded and (names := read_known()):
            with (
                gr.Column(min_width=320),
                gr.Accordion(f"{len(names)} objects the model knows", open=False, elem_id="known"),
            ):
                search = gr.Textbox(
                    label="Search", show_label=False, placeholder="Search the list", max_lines=1, elem_id="search"
                )
                search.change(None, js=SEARCH, api_visibility="private")
                parts["known"] = gr.Dataset(
                    show_label=False,
                    components=[gr.Textbox(render=False)],
                    samples=[[name] for name in names],
                    samples_per_page=len(names),
                    layout="gallery",
                    type="values",
                    elem_id="nouns",
                )


# -- wiring ----------------------------------------------------------------------------------------------------


def _wire(demo: Page, slot: ModelSlot, parts: Parts, samples: list[Example]) -> None:
    outputs = list(parts.values())
    quiet: dict[str, Any] = {"outputs": outputs, "show_progress": "hidden", "api_visibility": "private"}
    decoding = quiet | {"concurrency_id": PICTURE, "concurrency_limit": MAX_DECODED}
    visiting, picking = partial(by_visit, demo.visits, parts), partial(by_pick, demo.visits, parts)
    asking: dict[str, Any] = {
        "concurrency_id": "model", "concurrency_limit": MAX_WAITING, **quiet,
        # A visitor who waits in Gradio's queue sees the place in it, and how long it may take.
        "show_progress": "minimal", "show_progress_on": [parts["chat"]],
    }  # fmt: skip
    how = [parts["refine"], parts["fast"], parts["number"]]
    # "multiple": a question while another one waits or is answered reaches the server, which says what comes of it.
    question = {"fn": visiting(partial(ask, slot)), "inputs": [parts["prompt"], *how], "trigger_mode": "multiple"}
    parts["prompt"].submit(**question, **asking)
    parts["retry"].click(visiting(partial(ask_again, slot)), inputs=how, **asking)
    parts["edit"].click(visiting(edit_question), **quiet)
    parts["save"].click(visiting(partial(save_conversation, slot.name)), **quiet).then(None, js=FETCH)
    parts["copy"].click(None, js=COPY_SCRIPT.read_text(encoding="utf-8"), api_visibility="private")
    parts["prompt"].stop(visiting(handlers.stop_answer), concurrency_limit=None, **quiet)
    if samples:
        chosen = parts["examples"].select(picking(partial(_begin_example, samples), begins=True), **decoding)
        chosen.then(**question, **asking)
    if "known" in parts:
        parts["known"].click(by_name(parts, handlers.choose_noun), inputs=[parts["known"]], **quiet).then(
            None, js=FOCUS
        )
    picture = parts["picture"]
    picture.input(visiting(handlers.choose_picture, begins=True), inputs=[picture], **decoding)
    for restart in (parts["restart"].click, parts["chat"].clear):
        restart(visiting(handlers.restart), **quiet)
    parts["change"].click(by_name(parts, handlers.change_picture), js=SCROLL_TO_TOP, **quiet)
    parts["keep"].click(by_name(parts, handlers.keep_picture), **quiet)
    light = quiet | {"trigger_mode": "always_last"}
    parts["masks"].select(picking(pick_mask), **quiet, trigger_mode="multiple")
    parts["opacity"].input(visiting(handlers.set_opacity), inputs=[parts["opacity"]], **light)
    watch = by_name(parts, partial(handlers.watch_loading, slot))
    demo.load(watch, **quiet)
    for script in (KEYS_SCRIPT, DROP_SCRIPT):
        demo.load(None, js=script.read_text(encoding="utf-8"))
    parts["timer"].tick(watch, **quiet)
    _watch_tabs(demo)


def _watch_tabs(demo: Page) -> None:
    """Let each tab show that it is open, also while its visitor only reads."""

    def stay(request: gr.Request) -> Any:
        demo.visits.stay(str(request.session_hash))
        return gr.skip()

    gr.Timer(STILL_OPEN_S).tick(stay, show_progress="hidden", api_visibility="private")


def _begin_example(samples: list[Example], picked: gr.SelectData, visit: Visit | None) -> Updates:
    return handlers.choose_example(*samples[int(picked.index)], visit)

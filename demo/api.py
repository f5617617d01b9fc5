"""The public endpoint `/segment`: takes an image, a prompt, and optionally a refinement and the earlier conversation.

The server keeps no conversation: to continue one, a client sends back the one that the last call returned.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr
from PIL import Image

from demo import gpu
from demo.background import acquire
from demo.chat.asking import refinements
from demo.chat.chat import WENT_WRONG, status_and_sentence
from demo.chat.picture import FileImage
from demo.decoding import DECODER
from demo.history import Exchange, read_history, to_conversation
from demo.loading import ModelSlot, ModelUnavailableError
from demo.request_log import RequestLine, request_line
from demo.security.page import Page
from stamp.errors import PromptError
from stamp.pictures.images import ImageError
from stamp.pictures.visualization import draw_overlay

log = logging.getLogger(__name__)

NOBODY_WAITS = "Stopped: nobody is waiting for this answer any more."
#: Held by the call whose picture is in memory, from before it is decoded: pictures keep their original size here.
ONE_CALL = threading.BoundedSemaphore(1)


def segment_endpoint(slot: ModelSlot, page: Page) -> Callable[..., tuple[Image.Image, dict[str, Any]]]:
    """The function behind `/segment` of a page, which says whether the client is still there."""

    def segment(
        image: str | None, prompt: str | None, refine: str | None, conversation: Any, request: gr.Request
    ) -> tuple[Image.Image, dict[str, Any]]:
        """Answer a prompt about an image, with a mask wherever the answer points at something.

        Parameters:
            image: An image file, at most 20 MB and 40 million pixels. Web addresses are refused.
            prompt: What to ask, at most 2,000 characters, for example "segment the apple".
            refine: How masks get their edges: auto, none (smooth), guided, grabcut, or sam where the server has it.
            conversation: What was said about this image before, as `conversation` in the last result; empty for a new
                one. At most 20 questions.
        Returns:
            overlay: The image in its original size with the masks drawn over it.
            result: text, response (with <|seg|> where a mask belongs), conversation, finish_reason, is_shrunk, width,
                height, masks (each with label, score, area_px, bbox_xywh, rle, the COCO compressed run-length code,
                and polygons, its outer outlines), timings_s, new_tokens, forward_passes, versions.
        """
        session = str(request.session_hash)
        with request_line("segment", slot.name) as line:
            try:
                history = read_history(conversation)
                with_refine = refine or "auto"
                return answer(
                    slot, image, prompt or "", lambda: not page.is_awaited(session), line, with_refine, history
                )
            except Exception as error:
                line.status, sentence = status_and_sentence(error)
                if sentence == NOBODY_WAITS:
                    line.status = "left"
                if line.status == "failed":
                    log.exception("/segment failed at request %s", line.id)
                raise gr.Error(sentence or WENT_WRONG, print_exception=False) from error

    return segment


def answer(
    slot: ModelSlot,
    path: str | None,
    prompt: str,
    should_stop: Callable[[], bool],
    line: RequestLine | None = None,
    refine: str = "auto",
    history: Sequence[Exchange] = (),
) -> tuple[Image.Image, dict[str, Any]]:
    """Overlay and JSON-ready record of one answer.

    should_stop: asked while waiting and between tokens. line: of the log. refine: see `offered`. history: what was
    said about the picture before.

    Raises ImageError, PromptError, ModelUnavailableError.
    """
    line = line or RequestLine("segment", slot.name)
    predictor = slot.get()
    if path is None:
        raise ImageError("Give an image file.")
    for question in (*(asked for asked, _ in history), prompt):
        predictor.check_prompt(question)
    if refine not in offered(slot):
        raise PromptError(f"refine must be one of {', '.join(offered(slot))}, got {refine!r:.40}.")
    with _one_call(should_stop) as mine:
        # Decoding can take long, so the model is free meanwhile.
        image = DECODER.load(path, predictor.image_limits) if mine else None
        if image is None or not slot.acquire(should_stop):
            raise ModelUnavailableError(NOBODY_WAITS)
        line.begin()
        try:  # for the whole answer, as on the page
            segmentation = gpu.segment(predictor, image, prompt, should_stop, slot.max_seconds, refine, history)
            line.end(segmentation)
            conversation = to_conversation([*history, (prompt, segmentation.response)])
            record = segmentation.to_record() | {"conversation": conversation}
            return draw_overlay(image, segmentation.masks), record
        finally:
            predictor.lock.release()


@contextmanager
def _one_call(should_stop: Callable[[], bool]) -> Iterator[bool]:
    """Wait for earlier calls; yield False if nobody waits for this one any more."""
    held = acquire(ONE_CALL, should_stop)
    try:
        yield held
    finally:
        if held:
            ONE_CALL.release()


def offered(slot: ModelSlot) -> tuple[str, ...]:
    """The refinements that a call may name."""
    return ("auto", *refinements(slot))


def add_endpoint(slot: ModelSlot, page: Page) -> None:
    """Add `/segment` to a page that is being built; nothing of it is seen there."""
    with gr.Row(visible=False):
        image = FileImage(label="Image", type="filepath", buttons=[])
        prompt = gr.Textbox(label="Prompt")
        refine = gr.Textbox("auto", label="Refine")
        conversation = gr.JSON([], label="Conversation")
        overlay = gr.Image(label="Overlay", format="png", buttons=[])
        result = gr.JSON(label="Result")
        gr.Button("Segment").click(
            segment_endpoint(slot, page),
            inputs=[image, prompt, refine, conversation],
            outputs=[overlay, result],
            api_name="segment",
            concurrency_id="model",
            concurrency_limit=None,
        )

"""The public endpoint `/segment`: one image, one prompt, no conversation."""

import logging
from collections.abc import Callable
from typing import Any

import gradio as gr
from PIL import Image

from demo import gpu
from demo.chat.chat import status_and_sentence
from demo.chat.picture import FileImage
from demo.decoding import DECODER
from demo.loading import ModelSlot, ModelUnavailableError
from demo.request_log import RequestLine, request_line
from demo.security.page import Page
from stamp.pictures.visualization import draw_overlay

log = logging.getLogger(__name__)

WENT_WRONG = "Something went wrong while answering. Please try again."
NOBODY_WAITS = "Stopped: nobody waits for this answer any more."


def segment_endpoint(slot: ModelSlot, page: Page) -> Callable[..., tuple[Image.Image, dict[str, Any]]]:
    """The function behind `/segment` of a page, which says whether the client is still there."""

    def segment(image: str | None, prompt: str | None, request: gr.Request) -> tuple[Image.Image, dict[str, Any]]:
        """Answer a prompt about an image, with a mask wherever the answer points at something.

        Parameters:
            image: An image file, at most 20 MB and 40 million pixels. Web addresses are refused.
            prompt: What to ask, at most 2,000 characters, for example "segment the apple".
        Returns:
            overlay: The image in its original size with the masks drawn over it.
            result: text, finish_reason, width, height, masks (each with label, rle, the COCO compressed run-length
                code, area_px, bbox_xywh and score), timings_s, new_tokens, forward_passes, versions.
        """
        session = str(request.session_hash)
        with request_line("segment", slot.name) as line:
            try:
                return answer(slot, image, prompt or "", lambda: not page.is_awaited(session), line)
            except Exception as error:
                line.status, said = status_and_sentence(error)
                if said == NOBODY_WAITS:
                    line.status = "left"
                if line.status == "failed":
                    log.exception("/segment failed at request %s", line.id)
                raise gr.Error(said or WENT_WRONG, print_exception=False) from error

    return segment


def answer(
    slot: ModelSlot, path: str | None, prompt: str, should_stop: Callable[[], bool], line: RequestLine | None = None
) -> tuple[Image.Image, dict[str, Any]]:
    """Overlay and JSON-ready record of one answer.

    should_stop: asked while waiting and between tokens. line: of the log.

    Raises ImageError, PromptError, ModelUnavailableError.
    """
    from stamp import ImageError

    line = line or RequestLine("segment", slot.name)
    predictor = slot.get()
    if path is None:
        raise ImageError("Give an image file.")
    predictor.check_prompt(prompt)
    if not slot.acquire(should_stop):
        raise ModelUnavailableError(NOBODY_WAITS)
    line.begin()
    try:  # for the whole answer, as on the page; the picture is large, so it is opened only now
        image = DECODER.load(path, predictor.image_limits)
        segmentation = gpu.segment(predictor, image, prompt, should_stop, slot.max_seconds)
        line.end(segmentation)
        return draw_overlay(image, segmentation.masks), segmentation.to_record()
    finally:
        predictor.lock.release()


def add_endpoint(slot: ModelSlot, page: Page) -> None:
    """Add `/segment` to a page that is being built; nothing of it is seen there."""
    with gr.Row(visible=False):
        image = FileImage(label="Image", type="filepath", buttons=[])
        prompt = gr.Textbox(label="Prompt")
        overlay = gr.Image(label="Overlay", format="png", buttons=[])
        result = gr.JSON(label="Result")
        gr.Button("Segment").click(
            segment_endpoint(slot, page),
            inputs=[image, prompt],
            outputs=[overlay, result],
            api_name="segment",
            concurrency_id="model",
            concurrency_limit=None,
        )

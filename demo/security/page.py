"""The Blocks of the page: Gradio's, which also tracks its visitors and checks every file that comes in."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.state_holder import SessionState

from demo.chat.picture import FileImage, only_uploads
from demo.chat.visits import VisitStore
from demo.loading import ModelSlot
from demo.security.calls import REQUIRED
from demo.security.limits import Limits
from demo.security.presence import Presence

log = logging.getLogger(__name__)

NO_ROOM = "The server could not write a file: its disk may be full. Please try again later, or tell whoever runs it."
TOO_FEW = "This request is incomplete. Reload the page, or see “Use via API”."


class Page(gr.Blocks):
    """A gr.Blocks whose events accept uploaded files only, in whatever form a request names them.

    slot: its model. visits: pictures and dialogues by session. presence: who is there.
    """

    def __init__(self, *, slot: ModelSlot, limits: Limits | None = None, **options: Any):
        super().__init__(**options)
        self.slot = slot
        self.limits = limits or Limits()
        self.presence = Presence()
        self.visits = VisitStore(self.limits.visit_bytes)

    def is_awaited(self, session: str) -> bool:
        """Whether the client of a session still waits for something; `demo.security.housekeeping` notes who left."""
        events = list(self._queue.event_ids_to_events.values())
        return any(event.alive for event in events if event.session_hash == session)

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], state: SessionState | None, explicit_call: bool = False
    ) -> list[Any]:
        """As the parent, after `only_uploads` of each input. Raises gr.Error with NOT_UPLOADED or TOO_FEW."""
        if block_fn.api_name == "segment" and len(inputs) >= len(REQUIRED):  # what has a default may be left out
            inputs = inputs + [None] * (len(block_fn.inputs) - len(inputs))
        if len(inputs) < len(block_fn.inputs):
            raise gr.Error(TOO_FEW, print_exception=False)
        checked = [
            only_uploads(value, is_picture=isinstance(block, FileImage))
            for block, value in zip(block_fn.inputs, inputs, strict=False)
        ]
        with _told():
            processed: list[Any] = await super().preprocess_data(block_fn, checked, state, explicit_call)
        return processed

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: list[Any] | dict[str, Any], state: SessionState | None
    ) -> list[Any]:
        """As the parent, which writes pictures to the disk. Raises gr.Error with NO_ROOM where that refuses."""
        with _told():
            processed: list[Any] = await super().postprocess_data(block_fn, predictions, state)
        return processed


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.exception("the disk refused")
        raise gr.Error(NO_ROOM, print_exception=False) from error

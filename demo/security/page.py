"""The page's gr.Blocks, which also tracks visitors and checks every incoming file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.blocks import convert_component_dict_to_list
from gradio.state_holder import SessionState

from demo.chat.picture import FileImage, only_uploads
from demo.chat.visit import Visit
from demo.chat.visits import VisitStore
from demo.loading import ModelSlot
from demo.security.calls import REQUIRED
from demo.security.limits import Limits
from demo.security.presence import Presence

log = logging.getLogger(__name__)

NO_ROOM = "The server could not write a file: its disk may be full. Please try again later, or tell whoever runs it."
#: What Gradio means by "leave this output as it is".
SKIPPED = gr.skip()
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
        self.visits = VisitStore(self.limits.visit_bytes, forget=self._forget)

    def _forget(self, visit: Visit) -> None:
        """Nobody will ask about this picture again: drop what the model keeps of it."""
        if visit.encoded is not None and self.slot.is_ready:
            self.slot.get().conversation_cache.forget(visit.encoded)

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
        with _full_disk_reported():
            processed: list[Any] = await super().preprocess_data(block_fn, checked, state, explicit_call)
        return processed

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: list[Any] | dict[str, Any], state: SessionState | None
    ) -> list[Any]:
        """As the parent, but only for the outputs that a handler changes. Raises gr.Error with NO_ROOM.

        For each of the others Gradio would make a component anew, with its configuration and JSON schemas. With fifty
        visitors that took more time than the answers.
        """
        outputs = list(block_fn.outputs)
        if isinstance(predictions, dict) and not _is_skipped(predictions):
            predictions = convert_component_dict_to_list(outputs, predictions)
        values: Any = [predictions] if len(outputs) == 1 else predictions
        if _is_skipped(values):
            values = [SKIPPED] * len(outputs)
        if len(values) != len(outputs):
            return await self._send(block_fn, predictions, state)  # Gradio says what is wrong
        changed = [number for number, value in enumerate(values) if not _is_skipped(value)]
        processed: list[Any] = [dict(SKIPPED) for _ in outputs]
        if changed:
            of_changed = copy(block_fn)
            of_changed.outputs = [outputs[number] for number in changed]
            given = [values[number] for number in changed]
            sent = await self._send(of_changed, given[0] if len(given) == 1 else given, state)
            for number, value in zip(changed, sent, strict=True):
                processed[number] = value
        return processed

    def handle_streaming_diffs(
        self,
        block_fn: BlockFunction,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        simple_format: bool = False,
    ) -> list[Any]:
        """As the parent, but what is not text replaces the value before it instead of editing it.

        Gradio's page applies edits to the message it received before, in place. If that message still waits to be
        shown, it changes too: the Stop button did not appear when the first word followed at once.
        """
        values = list(data)
        has_edits = run in self.pending_diff_streams.get(session_hash or "", {}) and not final and not simple_format
        sent: list[Any] = super().handle_streaming_diffs(block_fn, data, session_hash, run, final, simple_format)
        if not has_edits:
            return sent
        return [
            [["replace", [], value]] if edits and isinstance(value, dict) else edits
            for value, edits in zip(values, sent, strict=True)
        ]

    async def _send(self, block_fn: BlockFunction, predictions: Any, state: SessionState | None) -> list[Any]:
        with _full_disk_reported():  # pictures are written to the disk
            processed: list[Any] = await super().postprocess_data(block_fn, predictions, state)
        return processed


def _is_skipped(value: object) -> bool:
    return isinstance(value, dict) and value == SKIPPED


@contextmanager
def _full_disk_reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.exception("the disk refused")
        raise gr.Error(NO_ROOM, print_exception=False) from error

"""The Blocks of the page: Gradio's, with every file that comes in checked before Gradio acts on it."""

from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.state_holder import SessionState

from demo.picture import FileImage, only_uploads


class Page(gr.Blocks):
    """A gr.Blocks whose events accept uploaded files only, in whatever form a request names them."""

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], state: SessionState | None, explicit_call: bool = False
    ) -> list[Any]:
        """As the parent, after `only_uploads` of each input. Raises gr.Error with NOT_UPLOADED."""
        checked = [
            only_uploads(value, is_picture=isinstance(block, FileImage))
            for block, value in zip(block_fn.inputs, inputs, strict=False)
        ]
        processed: list[Any] = await super().preprocess_data(block_fn, checked, state, explicit_call)
        return processed

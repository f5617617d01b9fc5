"""What the page does differently from Gradio's Blocks when a handler's values go to its components."""

import asyncio
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from demo.loading import ModelSlot
from demo.security.page import Page

class Counted(gr.Textbox):
    """Counts its copies: Gradio makes one for each update, with its configuration and JSON schemas."""

    made = 0

    def __init__(self, *arguments: Any, **options: Any):
        type(self).made += 1
        super().__init__(*arguments, **options)
    from collections.abc import Callable, Sequence
    from typing import TYPE_CHECKING, Any, Literal

    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

def page_with(n_outputs: int) -> tuple[Page, list[Counted]]:
    with Page(slot=ModelSlot(lambda: 1 / 0)) as page:
        boxes = [Counted(elem_id=f"box-{number}") for number in range(n_outputs)]
        gr.Button().click(lambda: None, outputs=boxes)
    return page, boxes

def sent(page: Page, predictions: Any) -> tuple[list[Any], int]:
    """What goes to the browser, and how many components were made for it."""
    (function,) = page.fns.values()
    before = Counted.made
    found = asyncio.run(page.postprocess_data(function, predictions, SessionState(page)))
    return found, Counted.made - before

SKIPPED = {"__type__": "update"}

@pytest.mark.parametrize("n_outputs", [1, 3])
def test_what_a_handler_leaves_alone_costs_nothing(n_outputs: int) -> None:
    page, boxes = page_with(n_outputs)
    assert sent(page, gr.skip()) == ([SKIPPED] * n_outputs, 0)
    assert sent(page, {boxes[-1]: "new"}) == ([*[SKIPPED] * (n_outputs - 1), "new"], 0)

def test_the_rest_is_as_gradio_does_it() -> None:
    page, boxes = page_with(3)
    found, made = sent(page, [gr.update(value="a", visible=False), gr.skip(), "b"])
    assert found == [{"value": "a", "visible": False, "__type__": "update"}, SKIPPED, "b"]
    assert made == 1
    found, made = sent(page, {boxes[0]: gr.Textbox(placeholder="x"), boxes[2]: None})
    assert (found[0]["placeholder"], found[1:], made) == ("x", [SKIPPED, None], 1)
    with pytest.raises(ValueError, match="enough output values"):
        sent(page, ["too", "few"])

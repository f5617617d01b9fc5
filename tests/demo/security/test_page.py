"""What the page does differently from Gradio's Blocks when a handler's values go to its components."""

import asyncio
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from demo.loading import ModelSlot
from demo.security.page import Page

SKIPPED = {"__type__": "update"}


class Counting(SessionState):
    """Counts the components that Gradio makes anew, each with its configuration and JSON schemas."""

    made = 0

    def _update_config(self, key: int) -> None:
        self.made += 1
        super()._update_config(key)


def never() -> Any:
    raise AssertionError("no model is needed")


def page_with(n_outputs: int) -> tuple[Page, list[gr.Textbox]]:
    with Page(slot=ModelSlot(never)) as page:
        boxes = [gr.Textbox(elem_id=f"box-{number}") for number in range(n_outputs)]
        gr.Button().click(lambda: None, outputs=boxes)
    return page, boxes


def sent(page: Page, predictions: Any) -> tuple[list[Any], int]:
    """What goes to the browser, and how many components were made anew for it."""
    (function,) = page.fns.values()
    state = Counting(page)
    return asyncio.run(page.postprocess_data(function, predictions, state)), state.made


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_what_a_handler_leaves_alone_costs_nothing(n_outputs: int) -> None:
    page, boxes = page_with(n_outputs)
    assert sent(page, gr.skip()) == ([SKIPPED] * n_outputs, 0)
    assert sent(page, {boxes[-1]: "new"}) == ([*[SKIPPED] * (n_outputs - 1), "new"], 0)


def test_the_rest_is_as_gradio_does_it() -> None:
    page, boxes = page_with(3)
    found, made = sent(page, [gr.update(value="a", visible=False), gr.skip(), "b"])
    assert (found, made) == ([{"value": "a", "visible": False, "__type__": "update"}, SKIPPED, "b"], 1)
    found, made = sent(page, {boxes[0]: gr.Textbox(placeholder="x"), boxes[2]: None})
    assert (found[0]["placeholder"], found[1:], made) == ("x", [SKIPPED, None], 1)
    with pytest.raises(ValueError, match="enough output values"):
        sent(page, ["too", "few"])

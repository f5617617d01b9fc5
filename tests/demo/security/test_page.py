"""What the page does differently from Gradio's Blocks when a handler's values go to its components."""

import asyncio
import json
from copy import deepcopy
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


def edited(value: Any, edits: list[tuple[str, list[Any], Any]]) -> Any:
    """What Gradio's page makes of the value it has: it edits it in place."""
    for action, path, new in edits:
        if not path:
            value = value + new if action == "append" else new
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        if action == "delete":
            del parent[path[-1]]
        elif action == "append":
            parent[path[-1]] += new
        elif isinstance(parent, list) and action == "add":
            parent.insert(path[-1], new)
        else:
            parent[path[-1]] = new
    return value


def test_a_message_that_waits_to_be_shown_keeps_what_it_says() -> None:
    """Gradio's page edits the last message in place; the Stop button was lost when the first word came at once."""
    page, _ = page_with(3)
    (function,) = page.fns.values()
    stop, picture = {"stop_btn": "Stop", "__type__": "update"}, {"path": "masks.webp", "meta": {"_type": "x"}}
    messages: list[list[Any]] = [
        [stop, "", picture],
        [SKIPPED, "It", SKIPPED],
        [SKIPPED, "It is", picture],
        [stop, SKIPPED, SKIPPED],
    ]
    shown: list[list[Any]] = []
    for message in messages:
        sent = page.handle_streaming_diffs(function, deepcopy(message), "visitor", "run", final=False)
        sent = json.loads(json.dumps(sent))
        last = shown[-1] if shown else []
        shown.append([edited(value, edits) for value, edits in zip(last, sent, strict=True)] if shown else sent)
    assert shown == messages
    assert page.handle_streaming_diffs(function, [None] * 3, "visitor", "run", final=True) == messages[-1]

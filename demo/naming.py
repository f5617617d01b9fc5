"""Handlers say what changes by the name of a component; Gradio wants the components themselves."""

from collections.abc import Callable, Iterator
from functools import partial
from inspect import isgeneratorfunction
from typing import Any

import gradio as gr

Updates = dict[str, Any]
Parts = dict[str, Any]


def by_name(parts: Parts, handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose updates by name become updates by component; no update leaves the page as it is."""

    def by_component(updates: Updates) -> Any:
        return {parts[name]: value for name, value in updates.items()} if updates else gr.skip()

    def plain(*inputs: Any) -> Any:
        return by_component(handler(*inputs))

    def streaming(*inputs: Any) -> Iterator[Any]:
        for updates in handler(*inputs):
            yield by_component(updates)

    is_generator = isgeneratorfunction(handler.func if isinstance(handler, partial) else handler)
    return streaming if is_generator else plain

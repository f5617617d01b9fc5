"""Handlers return updates keyed by component name; Gradio wants the components themselves.

A handler for a visit gets the calling session's visit, and returns a new one under "visit".
"""

from collections.abc import Callable, Iterator
from functools import partial
from inspect import isgeneratorfunction
from typing import Any

import gradio as gr

from demo.chat.answering import ready_box
from demo.chat.masks import Updates
from demo.chat.visit import Visit
from demo.chat.visits import DROPPED, VisitStore
from demo.html import notice
from demo.security.limits import address_of

Parts = dict[str, Any]


def by_name(parts: Parts, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Convert a handler's updates by name into updates by component; without updates the page stays unchanged."""

    def plain(*inputs: Any) -> Any:
        return by_component(parts, handler(*inputs))

    def streaming(*inputs: Any) -> Iterator[Any]:
        for updates in handler(*inputs):
            yield by_component(parts, updates)

    return streaming if _is_generator(handler) else plain


def by_visit(visits: VisitStore, parts: Parts, handler: Callable[..., Any], *, begins: bool = False) -> Any:
    """Like `by_name`; the handler also gets `visit`, the visit of the session or None.

    begins: the handler begins a visit. If not, a session that has lost its visit is told so.
    """

    def visit_of(session: str) -> tuple[Visit | None, bool]:
        visit = visits.get(session)
        return visit, visit is None and not begins and visits.was_dropped(session)

    def keep(session: str, updates: Updates | None) -> Any:
        updates = dict(updates or {})
        if "visit" in updates:
            visits.put(session, updates.pop("visit"))
        return by_component(parts, updates)

    def plain(request: gr.Request, *inputs: Any) -> Any:
        session = str(request.session_hash)
        visit, is_lost = visit_of(session)
        return by_component(parts, lost_page()) if is_lost else keep(session, handler(*inputs, visit=visit))

    def streaming(request: gr.Request, *inputs: Any) -> Iterator[Any]:
        session = str(request.session_hash)
        visit, is_lost = visit_of(session)
        if not is_lost:
            for updates in handler(*inputs, visit=visit):
                yield keep(session, updates)
        if is_lost or visits.was_dropped(session):  # before the answer, or during it
            yield by_component(parts, lost_page())

    return streaming if _is_generator(handler) else plain


def by_pick(visits: VisitStore, parts: Parts, handler: Callable[..., Updates], *, begins: bool = False) -> Any:
    """Like `by_visit`, for a handler that also gets what the visitor picked, as reported by the browser."""

    def picked(request: gr.Request, event: gr.SelectData) -> Any:
        return by_visit(visits, parts, partial(handler, event), begins=begins)(request)

    return picked


def by_visitor(parts: Parts, handler: Callable[..., Iterator[Updates]]) -> Callable[..., Iterator[Any]]:
    """Like `by_name`, for a generator that also gets `visitor`: the address of the request."""

    def streaming(request: gr.Request, *inputs: Any) -> Iterator[Any]:
        for updates in handler(*inputs, visitor=address_of(request.client)):
            yield by_component(parts, updates)

    return streaming


def by_component(parts: Parts, updates: Updates) -> Any:
    """Updates by component, as Gradio expects them."""
    return {parts[name]: value for name, value in updates.items()} if updates else gr.skip()


def lost_page() -> Updates:
    """The page of a session whose visit is no longer kept."""
    return {"chat_notice": notice(DROPPED), "input_panel": gr.Column(visible=True), "prompt": ready_box()}


def _is_generator(handler: Callable[..., Any]) -> bool:
    return isgeneratorfunction(handler.func if isinstance(handler, partial) else handler)

"""Installs all protections of the page when the server starts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from gradio.routes import App

from demo.decoding import DECODER
from demo.link_preview import add_link_preview
from demo.security.gate import Gate
from demo.security.health import add_health
from demo.security.housekeeping import keep_house
from demo.security.page import Page


@asynccontextmanager
async def guarded_server(app: App) -> AsyncIterator[None]:
    """The lifespan of the server of a `Page`: its requests pass the gate, and what was left behind is cleared away."""
    page: Any = app.get_blocks()
    assert isinstance(page, Page)
    queue = page._queue

    def session_of(event_id: str) -> str:
        event = queue.event_ids_to_events.get(event_id)
        return event_id if event is None else event.session_hash

    # Here and not through `add_middleware`: Gradio would put its own middleware, which answers other sites, outside.
    app.middleware_stack = Gate(
        app.middleware_stack or app.build_middleware_stack(), page.limits, page.presence, session_of
    )
    add_health(app, page)
    add_link_preview(app)
    DECODER.warm()
    task = asyncio.create_task(keep_house(app, page))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        DECODER.close()

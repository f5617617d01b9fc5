"""Decides which events may join the queue: questions have their own limits, and no address can take all places."""

import fastapi
from fastapi import HTTPException
from gradio.block_function import BlockFunction
from gradio.data_classes import PredictBodyInternal

from demo.security.gate import MAX_SESSION_CHARS, NOT_FOUND
from demo.security.limits import BUSY, address_of
from demo.security.page import Page

#: Concurrency ids of what needs a model. Everything else is done in a moment.
QUESTIONS = ("model", "live")
#: Concurrency id of what reads a visitor's picture: few are read at a time, and one may take many seconds.
PICTURE = "picture"
#: Events of all visitors together that are no questions.
MAX_EVENTS = 1000
STILL_WAITING = "Your last question is still waiting for its turn. Ask the next one once it has been answered."
NO_SESSION = f"session_hash must have 1 to {MAX_SESSION_CHARS} characters."


def admit(page: Page) -> None:
    """Let the queue of a page refuse what exceeds its limits, with a sentence that the page shows.

    Gradio's own limit counts all events alike: a page that opens, a timer and a question.
    """
    push = page._queue.push
    page._queue.ANALYTICS_MAX_EVENTS = 1  # after each event Gradio summarises all it keeps, for a page that is off

    async def admitted(body: PredictBodyInternal, request: fastapi.Request, username: str | None) -> object:
        if body.fn_index not in page.fns:
            raise HTTPException(404, NOT_FOUND)
        if body.session_hash is not None and not 1 <= len(body.session_hash) <= MAX_SESSION_CHARS:
            raise HTTPException(422, NO_SESSION)
        if sentence := refusal(page, body.fn_index, address_of(request.client), body.session_hash):
            raise HTTPException(429, sentence)  # not 503: for that Gradio shows a sentence of its own
        return await push(body, request, username)

    page._queue.push = admitted  # type: ignore[assignment, method-assign]


def refusal(page: Page, fn_index: int | None, address: str, session: str | None = None) -> str | None:
    """Why one more event is too many, from an address and a session of it; None if it is not."""
    limits, function = page.limits, page.fns.get(-1 if fn_index is None else fn_index)
    asked = _is_question(function)
    events = [event for event in page._queue.event_ids_to_events.values() if _is_question(event.fn) == asked]
    if len(events) >= (limits.waiting if asked else MAX_EVENTS):
        return BUSY
    own = [event for event in events if address_of(event.request.client) == address]
    most = limits.questions if asked else limits.events
    if most is not None and len(own) >= most:
        return BUSY
    pictures = sum(_is_picture(event.fn) for event in own)
    if limits.pictures is not None and _is_picture(function) and pictures >= limits.pictures:
        return BUSY
    return STILL_WAITING if asked and session is not None and is_waiting(page, session) else None


def is_waiting(page: Page, session: str) -> bool:
    """Whether a question of a session has a place in the queue: a visitor has one at most."""
    queues = page._queue.event_queue_per_concurrency_id
    return any(event.session_hash == session for name in QUESTIONS if name in queues for event in queues[name].queue)


def open_questions(page: Page) -> int:
    """Questions that wait or are being answered."""
    return sum(_is_question(event.fn) for event in list(page._queue.event_ids_to_events.values()))


def _is_question(function: BlockFunction | None) -> bool:
    return function is not None and function.concurrency_id in QUESTIONS


def _is_picture(function: BlockFunction | None) -> bool:
    return function is not None and function.concurrency_id == PICTURE

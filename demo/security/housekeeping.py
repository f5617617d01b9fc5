"""Clears away what visitors leave behind: pictures, sessions, events that nobody reads, files, memory."""

import asyncio
import ctypes
import logging
import os
import time
from pathlib import Path

from gradio.routes import App
from gradio.utils import get_upload_folder

from demo.decoding import DECODER
from demo.security.admission import open_questions
from demo.security.page import Page
from demo.security.presence import READER_GRACE_S
from demo.security.scratch import is_own, sweep

log = logging.getLogger(__name__)

EVERY_S = 1.0
FILES_EVERY_S = 5.0
MEMORY_EVERY_S = 10.0
#: Of glibc's mallopt.
M_ARENA_MAX = -8


async def keep_house(app: App, page: Page) -> None:
    """Clear away once a second until cancelled."""
    share_memory()
    files_at = memory_at = 0.0
    unread_since: dict[str, float] = {}
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            page.visits.drop_unused(page.presence.is_gone)
            forget_sessions(app, page)
            await drop_unread(page, unread_since)
            forget_conversations(page)
            page.presence.forget()
            if time.monotonic() - files_at > FILES_EVERY_S:
                files_at = time.monotonic()
                await asyncio.to_thread(clear_files, page)
            if time.monotonic() - memory_at > MEMORY_EVERY_S:
                memory_at = time.monotonic()
                await asyncio.to_thread(give_back_memory, page)
        except Exception:
            log.exception("clearing away failed")


def forget_sessions(app: App, page: Page) -> None:
    """Drop what Gradio keeps of sessions that are gone: it would keep each for an hour."""
    holder, busy = app.state_holder, {event.session_hash for event in page._queue.event_ids_to_events.values()}
    now = time.time()
    for session, used in list(holder.time_last_used.items()):
        ago = now - used.timestamp()
        if session not in busy and page.presence.is_gone(session, page.presence.clock() - ago):
            holder.delete_state(session)
            holder.session_data.pop(session, None)
            holder.time_last_used.pop(session, None)


def forget_conversations(page: Page) -> None:
    """Drop what the model keeps of earlier questions once nobody is there to ask another."""
    if page.slot.is_ready and page.visits.is_empty and not open_questions(page):
        page.slot.get().conversation_cache.clear()


async def drop_unread(page: Page, unread_since: dict[str, float]) -> None:
    """Drop events whose client never came to read them or has gone, and messages that nobody will read.

    unread_since: kept from call to call; sessions whose messages wait, and since when.
    """
    queue, presence = page._queue, page.presence
    events = list(queue.event_ids_to_events.values())
    for event in events:
        if presence.is_unread(event.session_hash, event.enqueue_time):
            await queue.clean_events(event_id=event._id)
    busy = {event.session_hash for event in events}
    waiting = {*queue.pending_messages_per_session, *queue.pending_event_ids_session} - busy
    for session in set(unread_since) - waiting:
        del unread_since[session]
    for session in waiting:
        since = unread_since.setdefault(session, presence.clock())
        if presence.clock() - since > READER_GRACE_S and presence.is_unread(session, since):
            queue.pending_messages_per_session.pop(session, None)
            queue.pending_event_ids_session.pop(session, None)


def clear_files(page: Page) -> None:
    """Delete old uploads and downloads, and the oldest of them while they take too much room."""
    folder = Path(get_upload_folder())
    if is_own(folder):
        sweep(folder, page.limits.disk_bytes, keep=files_of_page(page))
        for remembered in page.temp_file_sets:  # Gradio's, of uploads and of each component
            remembered.difference_update([path for path in list(remembered) if not Path(path).exists()])


def give_back_memory(page: Page) -> None:
    """Return freed memory to the system, and end the decoders that wait while no question is open."""
    if not open_questions(page):
        DECODER.rest()
    _call_c("malloc_trim", 0)


def share_memory() -> None:
    """Let all threads share two pools of memory. glibc would give each of Gradio's its own, and keep what it frees."""
    _call_c("mallopt", M_ARENA_MAX, 2)


def _call_c(name: str, *values: int) -> None:
    """Call a function of the C library where it has one of that name; Windows cannot even be asked."""
    if os.name != "nt" and (function := getattr(ctypes.CDLL(None), name, None)) is not None:
        function(*values)


def files_of_page(page: Page) -> set[Path]:
    """Copies that Gradio has made of the page's own pictures: examples and defaults."""
    blocks = [inner for block in page.blocks.values() for inner in (block, *getattr(block, "_components", ()))]
    return {Path(path).resolve() for block in blocks for path in block.keep_in_cache}

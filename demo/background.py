"""Runs work in its own thread while a handler polls it, because Gradio cannot interrupt a busy handler."""

import contextvars
import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

POLL_S = 0.2

T = TypeVar("T")


def batches(
    work: Callable[[Callable[[T], None]], None], stop: threading.Event, name: str
) -> Generator[list[T], None, None]:
    """Yield what `work` puts, in batches, as it arrives; an empty batch at least every 0.2 s.

    The empty batches let Gradio close the generator (page closed, event cancelled). Then, and when it ends, `stop` is
    set, and the work must obey it. work: gets a function that puts an event, and runs in a copy of the handler's
    context: there `spaces` finds whose request it is, on a Space that lends its GPU.
    """
    events: queue.SimpleQueue[T | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            work(events.put)
        finally:
            events.put(None)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name=name, daemon=True).start()
    try:
        while True:
            batch = _take(events)
            yield [event for event in batch if event is not None]
            if None in batch:
                return
    finally:
        stop.set()


def acquire(lock: "threading.RLock | threading.Semaphore", should_stop: Callable[[], bool]) -> bool:
    """Wait for a lock, which this thread must release; False if stopped first."""
    while not lock.acquire(timeout=POLL_S):
        if should_stop():
            return False
    return True


def _take(events: "queue.SimpleQueue[T | None]") -> "list[T | None]":
    """Everything that has arrived; waits briefly for the first event."""
    batch: list[T | None] = []
    try:
        batch.append(events.get(timeout=POLL_S))
        while True:
            batch.append(events.get_nowait())
    except queue.Empty:
        return batch

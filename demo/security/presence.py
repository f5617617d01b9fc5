"""Tracks who is connected: which sessions have the page open, and which read the server's messages."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: An open tab shows itself so often, also while its visitor only reads.
STILL_OPEN_S = 60.0
#: A tab that was closed, or a session that never had one, is forgotten after so long. More than STILL_OPEN_S, because a
#: connection may be lost while the tab is open, and Gradio never opens a lost heartbeat again.
TAB_GRACE_S = 90.0
#: Where events came since, the tab is there, and has so long between them.
QUIET_TAB_S = 600.0
#: A client has so long to come and read what it asked for,
READER_GRACE_S = 20.0
#: and so long to come back when its connection was closed.
LEFT_GRACE_S = 3.0


class Presence:
    """Open connections by session, and when the last one was closed. Used on the server's event loop; readers of
    single values may be anywhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self._tabs: Counter[str] = Counter()
        self._readers: Counter[str] = Counter()
        self._tab_left: dict[str, float] = {}
        self._reader_left: dict[str, float] = {}

    @contextmanager
    def tab(self, session: str) -> Iterator[None]:
        """The page is open in a tab."""
        with _counted(self._tabs, self._tab_left, session, self.clock):
            yield

    @contextmanager
    def reader(self, session: str) -> Iterator[None]:
        """A client reads the messages of its events."""
        with _counted(self._readers, self._reader_left, session, self.clock):
            yield

    def is_gone(self, session: str, last_used: float) -> bool:
        """Whether nobody is there who could want a session's picture again. last_used: time of the last event."""
        if self._tabs[session] or self._readers[session]:
            return False
        left = self._tab_left.get(session)
        if left is not None and last_used > left:
            return self.clock() - last_used > QUIET_TAB_S
        return self.clock() - max(last_used, left or 0.0) > TAB_GRACE_S

    def is_unread(self, session: str, since: float) -> bool:
        """Whether nobody waits for an event that was asked for at `since`: its client has left, or never came."""
        if self._readers[session]:
            return False
        left = self._reader_left.get(session, 0.0)
        return self.clock() - left > LEFT_GRACE_S if left > since else self.clock() - since > READER_GRACE_S

    def forget(self) -> None:
        """Drop what is too old to matter."""
        for left in (self._tab_left, self._reader_left):
            for session in [one for one, at in left.items() if self.clock() - at > QUIET_TAB_S]:
                del left[session]


@contextmanager
def _counted(
    open_now: Counter[str], left: dict[str, float], session: str, clock: Callable[[], float]
) -> Iterator[None]:
    open_now[session] += 1
    try:
        yield
    finally:
        open_now[session] -= 1
        if not open_now[session]:
            del open_now[session]
        left[session] = clock()

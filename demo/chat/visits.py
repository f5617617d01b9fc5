"""The visits of all visitors, by session, limited in bytes: the least recently used one is dropped first."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from demo.chat.visit import Visit, close_visit

DROPPED = (
    "The server no longer has your picture: the connection was lost, the page was idle for a while, or others needed "
    "the space. "
    "Please choose it again."
)
#: Number of sessions remembered to have lost their visit, so that they can be told.
MAX_REMEMBERED = 10_000


class VisitStore:
    """Visit by session. Safe to use from several threads. forget: called with each visit that is over."""

    def __init__(
        self,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        forget: Callable[[Visit], None] = lambda visit: None,
    ):
        self.max_bytes = max_bytes
        self.clock = clock
        self.forget = forget
        self._lock = threading.Lock()
        self._visits: OrderedDict[str, Visit] = OrderedDict()
        self._used: dict[str, float] = {}
        self._dropped: OrderedDict[str, None] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        """Memory of all visits."""
        return sum(visit.n_bytes for visit in list(self._visits.values()))

    @property
    def is_empty(self) -> bool:
        """Whether nobody has a picture here."""
        return not self._visits

    def get(self, session: str) -> Visit | None:
        """The visit of a session; marks it as the most recently used."""
        with self._lock:
            if (visit := self._visits.get(session)) is not None:
                self._visits.move_to_end(session)
                self._used[session] = self.clock()
            return visit

    def stay(self, session: str) -> None:
        """The visitor is still there, which does not mark the visit as used: an idle one makes room first."""
        with self._lock:
            if session in self._used:
                self._used[session] = self.clock()

    def put(self, session: str, visit: Visit) -> None:
        """Store a session's visit in place of its last one. Drops others, and if necessary this one, until all fit.

        A visit that was left meanwhile is not stored: the page shows another one.
        """
        with self._lock:
            if visit.is_left:
                return
            self._dropped.pop(session, None)
            if (last := self._visits.get(session)) is not None and last.encoded is not visit.encoded:
                self.forget(last)
            self._visits[session] = visit
            self._visits.move_to_end(session)
            self._used[session] = self.clock()
        self.fit()

    def fit(self) -> None:
        """Drop the visits used longest ago until the others fit. Called when a visit has grown."""
        with self._lock:
            sizes = {session: visit.n_bytes for session, visit in self._visits.items()}
            total = sum(sizes.values())
            for session in list(sizes):
                if total <= self.max_bytes:
                    return
                total -= sizes[session]
                self._drop(session)

    def drop_unused(self, is_gone: Callable[[str, float], bool]) -> None:
        """Drop the visits of sessions that are gone. is_gone: gets a session and when it was last used."""
        with self._lock:
            for session, used in list(self._used.items()):
                if is_gone(session, used):
                    self._drop(session)

    def _drop(self, session: str) -> None:
        visit = self._visits.pop(session)
        close_visit(visit)
        self.forget(visit)
        del self._used[session]
        self._dropped[session] = None
        while len(self._dropped) > MAX_REMEMBERED:
            self._dropped.popitem(last=False)

    def was_dropped(self, session: str) -> bool:
        """Whether a session has lost its visit. True only once, so that the visitor is told once."""
        with self._lock:
            return self._dropped.pop(session, 0) is None

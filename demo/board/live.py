"""Shared by race and live run: the methods that can run here, and a limit of one run at a time for the server."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from demo.background import POLL_S
from demo.board.names import NO_MASKS
from demo.loading import LOADING, ModelSlot
from stamp.checkpoints.load_options import LoadOptions

if TYPE_CHECKING:
    from benchmarks.checkpoints import MethodOptions
    from benchmarks.methods import Method

log = logging.getLogger(__name__)

#: One method per paradigm; a race starts with these.
DEFAULT_METHODS = ("stamp", "polygon", "patch_text", "embedding")
#: Variants that are offered in addition to the methods.
VARIANTS = ("stamp:none", "stamp:nf4", "stamp:released")
#: A run ends this long after its first answer began and keeps what it has. Loading a method does not count.
CAP_S = 120.0
#: Most tokens per answer, as in the stored results. Otherwise a visitor would wait for a method that never stops.
MAX_NEW_TOKENS = 256

TURNED_OFF = "Live runs and races are turned off on this server."
BUSY = "Another visitor's live run or race is in progress. Only one can run at a time; try again in a moment."
PAUSE = "Please wait {:.0f} s before your next run, so that others get a turn."
NOT_EMBEDDED = "Live runs compare the small checkpoints that come with the project. Start the page without --model."
NOT_LOADED = "could not be loaded here; the server's log says why"
SAME = "STAMP itself is the shipped nano here"
NO_CHECKPOINT = "its checkpoint is not installed on this server"


@dataclass(frozen=True)
class Refused:
    """The run is not possible; the sentence says why."""

    sentence: str


class MethodPool:
    """Methods by label; each is loaded on first use and kept. pause_s: pause between two runs of a visitor."""

    def __init__(self, slot: ModelSlot, *, is_on: bool = True, pause_s: float = 0.0):
        self.slot = slot
        self.is_on = is_on
        self.pause_s = pause_s
        self._ended: dict[str, float] = {}
        self._one_at_a_time = threading.Lock()
        self._methods: dict[str, Method] = {}

    def refusal(self) -> str | None:
        """Why a run is not possible, as a sentence; None if it is."""
        if not self.is_on:
            return TURNED_OFF
        if self.slot.has_failed:
            return self.slot.status()
        if not self.slot.is_embedded:
            return NOT_EMBEDDED
        return None if self.slot.is_ready else LOADING

    def labels(self) -> list[str]:
        """Methods that can be chosen; none while nothing can run."""
        if self.refusal() is not None:
            return []
        from benchmarks.checkpoints import BACKBONE, missing_checkpoints
        from benchmarks.methods import MAKERS

        left_out = {BACKBONE, *missing_checkpoints(_options("cpu"))}
        return [*(name for name in MAKERS if name not in left_out), *VARIANTS]

    def left_out(self) -> dict[str, str]:
        """Methods that cannot be chosen here, with the reason; none while nothing can run."""
        if self.refusal() is not None:
            return {}
        from benchmarks.checkpoints import missing_checkpoints

        missing = missing_checkpoints(_options("cpu"))
        return {label: SAME if label == "stamp_nano" else NO_CHECKPOINT for label in missing} | NO_MASKS

    def get(self, label: str) -> "Method":
        """The method, warmed up. Raises what loading it raises."""
        if label not in self._methods:
            self._methods[label] = _load(label, str(self.slot.get().device))
        return self._methods[label]

    def pause(self, visitor: str) -> str | None:
        """A sentence for a visitor whose last run has just ended; None if the next may begin."""
        now = time.monotonic()
        self._ended = {one: ended for one, ended in self._ended.items() if now - ended < self.pause_s}
        return None if (ended := self._ended.get(visitor)) is None else PAUSE.format(ended + self.pause_s - now)

    @contextmanager
    def turn(self, visitor: str = "") -> Iterator[bool]:
        """Yield whether this run may start: False while another one is in progress."""
        mine = self._one_at_a_time.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._ended[visitor] = time.monotonic()
                self._one_at_a_time.release()

    @contextmanager
    def machine(self, should_stop: Callable[[], bool]) -> Iterator[bool]:
        """Hold the lock of the page's model, so that no answer runs at the same time; yield False if stopped first.

        Questions that wait for answers go first. should_stop: asked while waiting.
        """
        lock, held = self.slot.get().lock, False
        while not held and not should_stop():
            if self.slot.has_questions:
                time.sleep(POLL_S)
            else:
                held = lock.acquire(timeout=POLL_S)
        try:
            yield held
        finally:
            if held:
                lock.release()


def _options(device: str) -> "MethodOptions":
    """The command line's defaults, except for the device and the tokens."""
    from benchmarks.checkpoints import MethodOptions

    return MethodOptions(LoadOptions(device=device), max_new_tokens=MAX_NEW_TOKENS)


def _load(label: str, device: str) -> "Method":
    from benchmarks.methods import load_methods

    (method,) = load_methods([label], _options(device))
    method.predict(Image.new("RGB", (224, 224), "white"), "segment the apple")  # the first answer is always slower
    return method


class Deadline:
    """Set when a run has to end: the visitor stopped it, or its time is up. The time begins with `start`."""

    def __init__(self, stop: threading.Event, cap_s: float = CAP_S):
        self.stop = stop
        self.cap_s = cap_s
        self._ends: float | None = None

    def start(self) -> None:
        """The first answer begins; later calls change nothing."""
        if self._ends is None:
            self._ends = time.monotonic() + self.cap_s

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Time spent in this block does not count."""
        began = time.monotonic()
        yield
        if self._ends is not None:
            self._ends += time.monotonic() - began

    @property
    def is_out_of_time(self) -> bool:
        """The cap is reached."""
        return self._ends is not None and time.monotonic() > self._ends

    def is_set(self) -> bool:
        """Whether to stop, asked between tokens."""
        return self.stop.is_set() or self.is_out_of_time

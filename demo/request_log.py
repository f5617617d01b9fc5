"""Logs one JSON line per question for the operator. It contains no text and no picture of a visitor."""

import json
import logging
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stamp import Segmentation

log = logging.getLogger(__name__)


@dataclass
class RequestLine:
    """What is known about a question so far. source: "page" or "segment".

    status: how it ended. With an answer, its `finish_reason`; otherwise "refused" (the visitor was told why), "failed",
    "memory" (the accelerator had too little), "unavailable" (no model, or no GPU was free), "stopped", or "left" (the
    visitor went away before the answer began).
    """

    source: str
    model: str
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    status: str = "left"
    waited_s: float | None = None
    answer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._asked = time.monotonic()

    def begin(self) -> None:
        """The model starts to work on it."""
        self.waited_s = round(time.monotonic() - self._asked, 3)

    def end(self, segmentation: "Segmentation") -> None:
        """The answer is complete."""
        self.status = segmentation.finish_reason
        self.answer = {
            "phases_s": {name: round(seconds, 3) for name, seconds in segmentation.timings_s.items()},
            "tokens": segmentation.new_tokens,
            "passes": segmentation.forward_passes,
            "masks": len(segmentation.masks),
        }

    def to_json(self) -> str:
        """The line."""
        content = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request": self.id,
            "source": self.source,
            "model": self.model,
            "status": self.status,
            "waited_s": self.waited_s,
            "seconds": round(time.monotonic() - self._asked, 3),
        }
        return json.dumps(content | self.answer)


@contextmanager
def request_line(source: str, model: str) -> Iterator[RequestLine]:
    """A line, which is written when the question ends, in whatever way."""
    line = RequestLine(source, model)
    try:
        yield line
    finally:
        log.info("%s", line.to_json())


def write_lines() -> None:
    """Write the lines to standard output. Called by the entry point."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False

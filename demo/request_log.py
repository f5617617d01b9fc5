"""One line for each question, as JSON, for whoever runs the page. Nothing that a visitor wrote or showed is in it."""

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
    """What is known of a question so far. source: "page" or "segment".

    status: how it ended. With an answer, its `finish_reason`; otherwise "refused" (the visitor was told why), "failed",
    "memory" (the accelerator's did not suffice), "unavailable" (no model), or "left" (the visitor went away before).
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
        """The model begins with it."""
        self.waited_s = round(time.monotonic() - self._asked, 3)

    def end(self, segmentation: "Segmentation") -> None:
        """The answer is there."""
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
    """A line, written when the question is done with, however that comes."""
    line = RequestLine(source, model)
    try:
        yield line
    finally:
        log.info("%s", line.to_json())


def write_lines() -> None:
    """Let the lines go to the standard output, one each. Called by the entry point."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False

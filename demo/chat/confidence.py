"""What the page says under an answer that is not worth much, from the record beside the embedded checkpoint."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from demo.chat.known import KNOWN, count_known
from demo.html import and_list, literal
from stamp.checkpoints.sources import CONFIDENCE_FILE, EMBEDDED_CHECKPOINT
from stamp.labels import category

UNSURE = "Not sure about the {}: answers like this one are right about {} times in 10."
KNOWS = "This small model knows {} everyday things from drawings, and {} of them from photographs too."


@dataclass(frozen=True)
class Confidence:
    """What confidences of a checkpoint's masks are worth (`benchmarks.studies.confidence`).

    unsure_below: confidence below which a mask is more often wrong than right. right: share of right masks there.
    """

    unsure_below: float
    right: float


@cache
def read_confidence(path: Path = EMBEDDED_CHECKPOINT / CONFIDENCE_FILE) -> Confidence | None:
    """The record; None if there is none, or if no answer was unsure."""
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    return record["unsure"] and Confidence(record["unsure_below"], record["unsure"]["right"])


@cache
def knowledge(path: Path = KNOWN) -> str:
    """A sentence about what the embedded model was trained on."""
    return KNOWS.format(*count_known(path))


def unsure_labels(labels: Sequence[str], confidences: Sequence[float | None], known: Confidence | None) -> list[str]:
    """The names, without numbers, of masks that are more likely wrong than right."""
    pairs = zip(labels, confidences, strict=True)
    unsure = [label for label, value in pairs if known and value is not None and value < known.unsure_below]
    return list(dict.fromkeys(category(label) for label in unsure))  # the chat does not number them


def unsure_html(labels: Sequence[str], known: Confidence | None, *, is_first: bool) -> str:
    """The line under an answer with these unsure masks; empty without any. is_first: it also says what is known."""
    if not labels or known is None:
        return ""
    sentence = UNSURE.format(and_list(list(labels)), round(10 * known.right))
    return f'<div class="unsure">{literal(" ".join([sentence, *([knowledge()] if is_first else [])]))}</div>'

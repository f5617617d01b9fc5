"""What the embedded model knows: the nouns beside its checkpoint."""

import json
from functools import cache
from pathlib import Path

from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT, NOUNS_FILE

KNOWN = EMBEDDED_CHECKPOINT / NOUNS_FILE


@cache
def read_known(path: Path = KNOWN) -> tuple[str, ...]:
    """Names of what the embedded model knows, sorted; empty without the file."""
    return tuple(sorted(json.loads(path.read_text(encoding="utf-8")))) if path.is_file() else ()


def count_known(path: Path = KNOWN) -> tuple[int, int]:
    """How many nouns there are, and how many of them were learned from photographs too; the file must exist."""
    nouns = json.loads(path.read_text(encoding="utf-8"))
    return len(nouns), sum("photographs" in learned_from for learned_from in nouns.values())

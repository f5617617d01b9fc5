"""Errors whose message is a sentence for the user and says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CheckpointError(ValueError):
    """A checkpoint that cannot be used."""


class PromptError(ValueError):
    """A prompt or a conversation that cannot be answered."""


def is_utf8(text: str) -> bool:
    """False for text with surrogates: what is left of bytes that are not UTF-8, which no tokenizer takes."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


class MemoryShortError(PromptError):
    """An answer that does not fit into the accelerator's memory, though everything else was let go."""


@contextmanager
def reading(what: str | Path) -> Iterator[None]:
    """Around a library's reader: a file that is damaged, or lies, makes it raise almost anything.

    All of it becomes a CheckpointError that names `what` was read. Too little memory stays what it is.
    """
    import torch

    try:
        yield
    except (CheckpointError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise CheckpointError(
            f"{what} cannot be read ({reason}). Download it again, or use another revision."
        ) from error

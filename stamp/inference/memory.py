"""When the accelerator runs out of memory: tries again with a smaller picture, or refuses the request."""

import gc
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import TypeVar

import torch

from stamp.errors import MemoryShortError

T = TypeVar("T")

#: Pixels of the second attempt, as a share of the first: half the width, half the height.
SMALLER = 0.25
TOO_LITTLE = (
    "There is not enough memory for this answer. Use a smaller picture, ask for fewer masks at once, or begin a new "
    "conversation."
)


def within_memory(
    attempt: Callable[[float], Generator[T, None, None]], may_shrink: bool, release: Callable[[], None]
) -> Iterator[T]:
    """What an attempt yields at full size; where memory does not suffice before that, of one at SMALLER.

    attempt: gets the share of the picture's pixels, 1 or SMALLER. release: frees what can be computed again.
    may_shrink: allow the second attempt. Raises MemoryShortError when nothing more can be done.
    """
    for share in (1.0, SMALLER) if may_shrink else (1.0,):
        has_begun = False
        try:
            with closing(attempt(share)) as steps:
                for step in steps:
                    has_begun = True
                    yield step
            return
        except torch.OutOfMemoryError:
            if has_begun:
                may_shrink = False
        free_memory(release)  # not inside `except`: its traceback holds tensors
        if not may_shrink:
            break
    raise MemoryShortError(TOO_LITTLE)


def free_memory(release: Callable[[], None]) -> None:
    """Let go of what can be computed again, and give the accelerator's free blocks back."""
    release()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

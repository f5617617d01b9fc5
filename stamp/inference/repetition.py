"""Answers that have lost their way: the same few tokens again and again, until the token budget ends them."""

from collections.abc import Sequence

#: A run of at most this many tokens counts as repeated ...
LONGEST_RUN = 16
#: ... when it stands there this often in a row, and fills at least so many tokens. An honest answer ("an apple, a boat,
#: a crab") does not come near: the names differ, and nobody says one sentence six times.
TIMES = 6
TOKENS = 48


def is_repeating(token_ids: Sequence[int], seg_token_id: int) -> bool:
    """Whether the answer ends with one run of tokens, repeated exactly and often.

    A run with `<|seg|>` in it does not count: "person <|seg|>, person <|seg|>, ..." names a crowd, each with its mask.
    """
    for length in range(1, LONGEST_RUN + 1):
        span = max(TOKENS, TIMES * length)
        end = token_ids[-span:]
        if len(end) == span and end[length:] == end[:-length]:
            return seg_token_id not in end[-length:]
    return False

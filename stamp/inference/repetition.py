"""Detects runaway answers, which repeat the same few tokens until the token budget ends them."""

from collections.abc import Sequence

#: A run of at most this many tokens counts as repeated ...
LONGEST_RUN = 16
#: ... if it occurs this often in a row and fills at least this many tokens. A normal answer ("an apple, a boat,
#: a crab") does not come near: its names differ, and it does not say one sentence six times.
TIMES = 6
TOKENS = 48


def is_repeating(token_ids: Sequence[int], seg_token_id: int) -> bool:
    """Whether the answer ends with one run of tokens, repeated exactly and often.

    A run with `<|seg|>` does not count: "person <|seg|>, person <|seg|>, ..." names a crowd, each with its mask.
    """
    for length in range(1, LONGEST_RUN + 1):
        span = max(TOKENS, TIMES * length)
        end = token_ids[-span:]
        if len(end) == span and end[length:] == end[:-length]:
            return seg_token_id not in end[-length:]
    return False

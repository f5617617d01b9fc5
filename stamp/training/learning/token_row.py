"""One row of tokens about a picture, before rows become tensors; and several dialogues side by side in one row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stamp.training.learning.attention_targets import AttentionTarget, Mention


@dataclass(frozen=True)
class TokenRow:
    """Tokens and what is trained on them; indices count the row's tokens.

    image_index: the picture in the batch. segs, targets: the `<|seg|>` whose masks are trained, and their targets.
    dialogues: for each token the number of its dialogue, from 1, or 0 for what all share; empty if there is only one.
    """

    input_ids: list[int]
    is_answer: list[bool]
    mentions: list[Mention]
    attention: list[AttentionTarget]
    image_index: int
    segs: Sequence[int] = ()
    targets: Sequence[np.ndarray] = ()
    dialogues: Sequence[int] = ()


def side_by_side(rows: Sequence[TokenRow], shared: int) -> TokenRow:
    """One row for several dialogues about a picture, which begin with the same `shared` tokens. No masks.

    The picture's tokens come once, and each dialogue is trained as the first one about it.
    """
    first, *others = rows
    if not others:
        return first
    merged = replace(first, dialogues=[0] * shared + [1] * (len(first.input_ids) - shared))
    for number, row in enumerate(others, 2):
        shift = len(merged.input_ids) - shared
        merged = replace(
            merged,
            input_ids=merged.input_ids + row.input_ids[shared:],
            is_answer=merged.is_answer + row.is_answer[shared:],
            mentions=merged.mentions + [_moved_mention(one, shift) for one in row.mentions],
            attention=merged.attention + [_moved_target(one, shift, shared) for one in row.attention],
            dialogues=[*merged.dialogues, *[number] * (len(row.input_ids) - shared)],
        )
    return merged


def _moved_mention(mention: Mention, shift: int) -> Mention:
    return replace(mention, first=mention.first + shift, last=mention.last + shift)


def _moved_target(target: AttentionTarget, shift: int, shared: int) -> AttentionTarget:
    """Its query is in the dialogue; its keys are there or among the shared tokens."""
    keys = tuple(key + shift if key >= shared else key for key in target.keys)
    return replace(target, query=target.query + shift, keys=keys)

"""When an answer counts as repeating itself."""

import pytest

from stamp.inference.repetition import TIMES, TOKENS, is_repeating


@pytest.mark.parametrize("length", [1, 2, 7, 16])
def test_a_run_is_repeated_so_often(length: int) -> None:
    run = list(range(10, 10 + length))
    needed = max(TIMES * length, TOKENS)
    text = [1, 2, 3, *(run * needed)[: needed - 1]]
    assert not is_repeating(text, seg_token_id=0)
    following = run[(needed - 1) % length]
    assert is_repeating([*text, following], seg_token_id=0)
    assert not is_repeating([*text, following], seg_token_id=following)
    assert not is_repeating([*text, 9], seg_token_id=0)


@pytest.mark.parametrize(
    "words",
    [
        "an apple, a boat, a crab, a dog, a cat, a bus, a tree, a house, a lamp, a fish, a hat, a cup, a key, a leaf",
        "I see a crab, a crab, a crab, a crab and a crab.",
        "One is red, one is red, one is blue, one is red, one is red, one is blue.",
    ],
)
def test_lists_are_no_repetition(words: str) -> None:
    ids = [ord(letter) for letter in words]  # a letter a token: the longest it can be
    assert not any(is_repeating(ids[:end], seg_token_id=0) for end in range(len(ids) + 1))

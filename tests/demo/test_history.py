"""What a call of `/segment` brings along of its conversation."""

from typing import Any

import pytest

from demo.history import MAX_CHARACTERS, MAX_EXCHANGES, read_history, to_conversation
from stamp import PromptError

USER, ASSISTANT = {"role": "user", "content": "the hat"}, {"role": "assistant", "content": "It is <|seg|>."}


@pytest.mark.parametrize("n", [0, 1, MAX_EXCHANGES])
def test_there_and_back(n: int) -> None:
    conversation = [USER, ASSISTANT] * n
    history = read_history(conversation)
    assert history == [("the hat", "It is <|seg|>.")] * n
    assert to_conversation(history) == conversation


@pytest.mark.parametrize("nothing", [None, "", []])
def test_nothing_is_a_new_conversation(nothing: Any) -> None:
    assert read_history(nothing) == []


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        ("the hat", "got str"),
        ({"role": "user"}, "got dict"),
        ([USER], "the last one has no answer"),
        ([ASSISTANT, USER], "number 1 has no role 'user'"),
        ([USER, USER], "number 2 has no role 'assistant'"),
        ([USER, ["It is"]], "number 2 has no role 'assistant' or no text"),
        ([USER, ASSISTANT | {"content": 5}], "number 2 .* no text"),
        ([USER | {"content": "\udce9"}, ASSISTANT], "number 1 holds characters that are not UTF-8"),
        ([USER | {"role": "system"}, ASSISTANT], "number 1"),
        ([USER, ASSISTANT] * (MAX_EXCHANGES + 1), r"has 21 questions; the limit is 20\. Begin a new one"),
        ([USER, ASSISTANT | {"content": "a" * MAX_CHARACTERS}], r"has 20,007 characters; the limit is 20,000"),
    ],
)
def test_anything_else_is_refused_in_words(conversation: Any, words: str) -> None:
    with pytest.raises(PromptError, match=words):
        read_history(conversation)

"""When an answer is right: a table by hand."""

import pytest

from stamp.training.talk.answers import is_right
from tests.benchmarks.tiny import RIVALS


@pytest.mark.parametrize(
    ("answer", "question", "accepted", "lists", "right"),
    [
        ("There are two apples.", "How many apples?", ["two", "2"], ["numbers"], True),
        ("2", "How many apples?", ["two", "2"], ["numbers"], True),
        ("TWO!", "How many apples?", ["two", "2"], ["numbers"], True),
        ("There is one apple, or two.", "How many apples?", ["two", "2"], ["numbers"], False),
        ("There are twenty-2000 apples.", "How many apples?", ["two", "2"], ["numbers"], False),
        ("None: there are no boats, 0.", "How many boats?", ["no", "0", "none"], ["numbers"], True),
        ("Yes, there is an apple.", "Is there an apple?", ["yes"], ["yes_no", "nouns"], True),
        ("Yes, there is a boat.", "Is there an apple?", ["yes"], ["yes_no", "nouns"], False),
        ("Yes and no.", "Is there an apple?", ["yes"], ["yes_no"], False),
        ("It is an apple.", "What is on the left?", ["apple", "apples"], ["nouns"], True),
        ("It is an apple or a boat.", "What is on the left?", ["apple", "apples"], ["nouns"], False),
        ("It is left of the boat: an apple.", "What is left of the boats?", ["apple"], ["nouns"], True),
        ("It is a pineapple.", "What is on the left?", ["apple", "apples"], ["nouns"], False),
        ("", "What is on the left?", ["apple"], ["nouns"], False),
    ],
)
def test_by_hand(answer: str, question: str, accepted: list[str], lists: list[str], right: bool) -> None:
    rivals = [thing for name in lists for thing in RIVALS[name]]
    assert is_right(answer, question, accepted, rivals) is right

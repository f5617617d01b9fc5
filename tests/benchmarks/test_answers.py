"""When an answer is right: a table by hand, and the rule that the nano's card was measured with."""

import json
from pathlib import Path

import pytest

from benchmarks.answers import is_right
from stamp.training.talk.exchange import NUMBERS
from stamp.training.vocabulary import load_vocabulary
from tests.benchmarks.tiny import RIVALS

NANO = Path(__file__).parent.parent.parent / "assets" / "stamp-nano"


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


def test_answers_of_the_nano_are_judged_as_in_its_evaluation() -> None:
    known = set(json.loads((NANO / "nouns.json").read_text()))
    forms = [[noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals] for noun in load_vocabulary()]
    nouns = [names for names in forms if known & set(names)]
    assert len(nouns) == len(known)
    numbers = [[word, str(number)] + (["none"] if number == 0 else []) for number, word in enumerate(NUMBERS)]
    rivals = {"count": [*numbers, *nouns], "exists": [["yes"], ["no"], *nouns], "what": nouns}
    rows = [json.loads(line) for line in (NANO / "evaluation.jsonl").read_text().splitlines()]
    asked = [row for row in rows if row["kind"] in rivals]
    assert len(asked) > 500
    for row in asked:
        judged = is_right(row["answer"], row["question"], row["expected"].split(" / "), rivals[row["kind"]])
        assert judged == bool(row["score"]), row

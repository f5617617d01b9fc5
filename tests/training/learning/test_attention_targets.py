"""Attention targets, on a picture small enough to write down: one row of four cells."""

from typing import Any

import numpy as np
import pytest

from stamp.training.learning.attention_targets import (
    AttentionTarget,
    Head,
    Mention,
    NounMentions,
    answer_attention,
    mask_attention,
    noun_attention,
    turns,
)
from stamp.training.learning.nano import build_processor
from stamp.training.scenes.groups import Lexicon
from tests.training.conftest import NOUN

IMAGE_START = 10
ROSE, COW, DRUM = 1, 2, 3


def as_dict(target: AttentionTarget) -> tuple[Head, int, dict[int, float]]:
    weights = zip(target.keys, target.weights, strict=True)
    return target.head, target.query, {key: weight for key, weight in weights if weight}


def test_mentions_are_found_with_the_tokens_they_end_on() -> None:
    names = ("light bulb", "apple", "rose", "crab", "guitar", "violin", "drum", "car", "taxi", "pine", "tree")
    lexicon = Lexicon.of([NOUN[name] for name in names])
    processor = build_processor(lexicon)
    find = NounMentions(processor, lexicon).find

    def named(text: str) -> list[list[str]]:
        return [[names[number - 1] for number in mention.nouns] for mention in find(processor.encode_plain(text))]

    text = "Check: light bulb, apples. 'Rose' no, crab yes"
    ids = processor.encode_plain(text)
    assert named(text) == [["light bulb"], ["apple"], ["rose"], ["crab"]]
    words = [processor.decode(ids[mention.first : mention.last + 1]) for mention in find(ids)]
    assert words == [" light bulb", " apples", "Rose", " crab"]
    assert named("Count the musical instruments on the left") == [["guitar", "violin", "drum"]]
    assert named("segment the object on the left") == [list(names)]
    assert named("the lightbulb above the cab and the bulbs") == [["light bulb"], ["taxi"], ["light bulb"]]
    assert named("all cars, the taxi") == [["car", "taxi"], ["taxi"]]
    assert named("the pine tree and the tree") == [["pine"], ["pine", "tree"]]
    assert named("the animals and the kitten") == []


def test_a_word_for_several_nouns_attends_to_the_cells_of_all() -> None:
    nouns = np.array([[0, 1, 0], [0.5, 0, 0.5], [1, 0, 0]], np.float32)
    cells, each = noun_attention(
        [Mention(3, 3, (1, 2))], IMAGE_START, nouns, np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    )
    third: Any = pytest.approx(1 / 3)
    two_thirds: Any = pytest.approx(2 / 3)
    assert as_dict(cells) == (Head.CELLS, 3, {10: two_thirds, 11: third})
    assert as_dict(each) == (Head.EACH, 3, {10: third, 11: third, 0: third})


def test_a_noun_attends_to_its_cells_and_to_each_of_its_objects() -> None:
    nouns, parts = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
    nouns[:, ROSE] = (1.0, 0.5, 0.0, 0.5)  # a rose of a cell and a half, and one of half a cell
    parts[:, ROSE] = (2 / 3, 1 / 3, 0, 1)
    targets = list(noun_attention([Mention(20, 21, (ROSE,)), Mention(25, 25, (COW,))], IMAGE_START, nouns, parts))
    third: Any = pytest.approx(1 / 3)
    assert [as_dict(target) for target in targets] == [
        (Head.CELLS, 21, {10: 0.5, 11: 0.25, 13: 0.25}),
        (Head.EACH, 21, {10: pytest.approx(2 / 9), 11: pytest.approx(1 / 9), 13: third, 0: third}),
        (Head.CELLS, 25, {0: 1.0}),
        (Head.EACH, 25, {0: 1.0}),
    ]


def test_an_answer_attends_to_its_question_and_finds_what_it_names() -> None:
    #          question: rose at 20   answer 22..24   question: none   answer 30..34 names cow at 33
    is_answer = [22 <= i <= 24 or 30 <= i <= 34 for i in range(36)]
    mentions = [Mention(20, 20, (ROSE,)), Mention(23, 23, (ROSE,)), Mention(33, 33, (COW,))]
    cow = np.array([0.0, 0.0, 1.0, 1.0], np.float32)
    targets = list(answer_attention(mentions, is_answer, [[], [cow]], IMAGE_START))
    asked = [(Head.ASKED, query, {20: 1.0}) for query in (21, 22, 23)]
    found = [(Head.FOUND, query, {12: 0.5, 13: 0.5}) for query in (29, 30, 31, 32)]
    assert [as_dict(target) for target in targets] == asked + found


def test_turns_are_questions_and_answers() -> None:
    assert list(turns([False, False, True, True, False, True])) == [(0, 2, 4), (4, 5, 6)]
    assert list(turns([False, True, False])) == [(0, 1, 2)]
    assert list(turns([False, False])) == []


def test_a_checklist_is_not_asked_for_one_noun() -> None:
    mentions = [Mention(i, i, (noun,)) for i, noun in ((1, ROSE), (2, COW), (3, DRUM))]
    assert list(answer_attention(mentions, [i == 5 for i in range(6)], [[]], IMAGE_START)) == []


def test_mask_tokens_attend_to_the_noun_before_their_seg() -> None:
    mentions = [Mention(4, 5, (ROSE,)), Mention(7, 7, (COW,)), Mention(12, 12, (DRUM,))]
    targets = list(mask_attention(mentions, 9, 20, np.array([1.0, 0.25])))
    assert [as_dict(target) for target in targets] == [(Head.NAMED, 20, {7: 1.0}), (Head.NAMED, 21, {7: 0.25, 0: 0.75})]
    assert list(mask_attention(mentions, 3, 20, np.array([1.0, 0.25]))) == []

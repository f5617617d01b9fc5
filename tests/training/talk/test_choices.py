"""Which words are chosen for which scene: groups without doubt, no count of bread, colours and synonyms that hold."""

import re
from collections.abc import Callable, Iterator
from random import Random

from stamp.model.configuration_stamp import SEG_TOKEN
from stamp.training.card.evaluate import is_answered
from stamp.training.scenes.scenes import Scene
from stamp.training.talk import questions, requests
from stamp.training.talk.exchange import Exchange
from stamp.training.talk.situation import Situation
from tests.training.conftest import LEXICON, NOUNS
from tests.training.scenes.test_groups import MEMBERS
from tests.training.talk.oracle import UNCOUNTED, groups_in, holds, named_in
from tests.training.talk.scenes import SCENE, scene_of


def told_about(scene: Scene, *makers: Callable[[Situation], Exchange | None], n: int = 300) -> Iterator[Exchange]:
    """What makers say of a scene with dice of many seeds."""
    for seed in range(n):
        for make in makers:
            if (exchange := make(Situation(scene, Random(seed), LEXICON))) is not None:
                yield exchange


def test_a_doubtful_member_keeps_a_group_out_of_the_talk() -> None:
    """Is a tomato a fruit? With one in the scene nothing is asked about fruits, and about foods it is."""
    makers = (requests.segment_group, questions.ask_count, questions.ask_exists, requests.segment_absent)
    boxes = ((0, 0, 20, 20), (40, 30, 60, 50), (80, 60, 100, 80))
    spoken = {}
    for other in ("tomato", "banana"):
        scene = scene_of(*zip(("apple", other, "bee"), boxes, strict=True))
        told = told_about(scene, *makers, n=600)
        spoken[other] = {group for exchange in told for group in groups_in(exchange.question)}
    assert spoken == {"tomato": set(MEMBERS) - {"fruit"}, "banana": set(MEMBERS)}


def test_what_is_not_counted_is_never_counted() -> None:
    boxes = ((0, 0, 20, 20), (30, 0, 50, 20), (60, 0, 80, 20))
    scene = scene_of(*zip(("grapes", "bread", "grapes"), boxes, strict=True))
    told = list(told_about(scene, questions.ask_count, questions.ask_count_each, n=500))
    counted = {noun.name for exchange in told for noun in named_in(exchange.question)}
    assert counted == {noun.name for noun in NOUNS} - UNCOUNTED
    (described,) = {exchange.answer for exchange in told_about(scene, questions.ask_describe, n=3)}
    assert described == "I see grapes and bread."


def test_only_nouns_of_one_colour_are_asked_for_by_colour() -> None:
    scene = scene_of(("apple", (0, 0, 20, 20)), ("banana", (40, 0, 60, 20)), ("banana", (80, 0, 100, 20)))
    told = list(told_about(scene, requests.segment_colour, n=100))
    assert {exchange.targets for exchange in told} == {((2, 3),)}
    assert all(re.search(r"\byellow bananas?\b", exchange.phrase or "") for exchange in told)
    assert requests.segment_colour(Situation(SCENE, Random(0), LEXICON)) is None


def test_nothing_you_can_eat() -> None:
    scene = scene_of(("bee", (0, 0, 20, 20)), ("guitar", (40, 30, 60, 50)))
    told = list(told_about(scene, requests.segment_absent, questions.ask_exists, n=1000))
    eat = [exchange for exchange in told if "you can eat" in exchange.question]
    assert {exchange.answer for exchange in eat} == {
        "There is nothing you can eat in the image.",
        "No, there is nothing you can eat.",
    }
    for exchange in eat:
        assert is_answered(exchange, exchange.answer, LEXICON)
        assert not is_answered(exchange, "Yes, there is an apple.", LEXICON)
    phrases = {exchange.phrase for exchange in eat}
    assert phrases == {"something you can eat", None}


def test_questions_use_synonyms_and_answers_names() -> None:
    scene = scene_of(("taxi", (0, 20, 40, 60)), ("bee", (60, 30, 70, 50)))
    makers = (requests.segment_name, questions.ask_where, questions.ask_exists, questions.ask_count)
    told = [exchange for exchange in told_about(scene, *makers) if holds(exchange.question, "cabs?")]
    assert {exchange.kind for exchange in told} == {"segment", "where", "exists", "count"}
    assert {exchange.answer for exchange in told} == {
        f"Sure, here is the segmentation mask for the taxi: {SEG_TOKEN}",
        "The taxi is on the left.",
        "Yes, there is a taxi.",
        "There is one taxi.",
    }


def test_what_is_drawn_as_a_heap_or_a_pair_takes_are() -> None:
    scene = scene_of(("grapes", (0, 20, 40, 60)), ("bread", (60, 30, 70, 40)))
    makers = (questions.ask_where, questions.ask_bigger, questions.ask_exists)
    shown = {exchange.answer for exchange in told_about(scene, *makers) if exchange.accepted != ("no",)}
    assert shown >= {
        "The grapes are on the left.",
        "The bread is on the right.",
        "The grapes are bigger.",
        "Yes, there are grapes.",
    }
    absent = {one.answer for one in told_about(SCENE, questions.ask_exists, requests.segment_absent, n=2000)}
    assert absent >= {
        "No, there are no grapes.",
        "There are no grapes in the image.",
        "No, there is no bread.",
        "There is no bread in the image.",
    }
    assert not absent & {"No, there is no grapes.", "There is no grapes in the image."}


def test_a_category_is_there_by_the_name_of_its_only_member() -> None:
    told = list(told_about(SCENE, questions.ask_exists, n=2000))
    by_group = {group: {one.answer for one in told if groups_in(one.question) == {group}} for group in MEMBERS}
    assert by_group["animal"] == {"Yes, there is a bee."}
    assert by_group["fruit"] == {"Yes, there are two fruits."}
    assert by_group["something you can eat"] == {"Yes, there are two things you can eat."}
    assert by_group["vehicle"] == {"No, there is no vehicle."}
    exchange = next(one for one in told if groups_in(one.question) == {"animal"})
    assert is_answered(exchange, exchange.answer, LEXICON)
    assert not is_answered(exchange, "No, there is no animal.", LEXICON)

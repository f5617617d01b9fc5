"""Which nouns belong together, against a table made by hand."""

import re

import pytest

from stamp.training.scenes.groups import FEWEST_MEMBERS, Group, Lexicon
from stamp.training.scenes.nouns import CATEGORY_WORDS, FUNCTION_WORDS
from stamp.training.scenes.vocabulary import taught_nouns
from tests.training.conftest import LEXICON, NOUN, NOUNS

EATEN, DRIVEN = {"apple", "banana", "tomato", "grapes", "bread"}, {"car", "taxi", "bus"}
#: Name of a group -> its members, and those of whom people would not agree.
MEMBERS: dict[str, tuple[set[str], set[str]]] = {
    "animal": ({"bee", "cat", "cow", "duck"}, set()),
    "food": (EATEN, {"cow", "duck"}),
    "fruit": ({"apple", "banana", "grapes"}, {"tomato"}),
    "vehicle": (DRIVEN, set()),
    "something you can eat": (EATEN, {"cow", "duck"}),
    "something you can drive": (DRIVEN, set()),
    "something that has wheels": (DRIVEN, set()),
}


def named(lexicon: Lexicon, name: str) -> Group:
    return next(group for group in (*lexicon.objects, *lexicon.groups) if group.name == name)


def names(group: Group) -> tuple[set[str], set[str]]:
    return {noun.name for noun in group.nouns}, {noun.name for noun in group.doubtful}


def test_nouns_are_numbered_from_one_in_order() -> None:
    assert [LEXICON.numbers[noun] for noun in NOUNS] == list(range(1, len(NOUNS) + 1))
    assert Lexicon.of(list(NOUNS)) == LEXICON


def test_groups_have_their_members_and_their_doubtful_ones() -> None:
    assert {group.name: names(group) for group in LEXICON.groups} == MEMBERS
    assert [group.name for group in LEXICON.categories] == [name for name in MEMBERS if "something" not in name]
    assert [group.name for group in LEXICON.uses] == [name for name in MEMBERS if "something" in name]
    assert NOUN["bee"] in named(LEXICON, "animal")
    assert NOUN["tomato"] not in named(LEXICON, "fruit")


def test_a_group_needs_three_members_that_nobody_doubts() -> None:
    flying = [NOUN[name] for name in ("bee", "duck")]
    assert not Lexicon.of([*flying, NOUN["penguin"], NOUN["moon"]]).uses
    (use,) = Lexicon.of([*flying, NOUN["butterfly"], NOUN["moon"]]).uses
    assert (use.name, use.plural, use.the) == ("something that flies", "things that fly", "something that flies")
    assert names(use) == ({"bee", "duck", "butterfly"}, {"moon"})


def test_the_words_of_a_group() -> None:
    animal, eaten = named(LEXICON, "animal"), named(LEXICON, "something you can eat")
    assert (animal.plural, animal.the, animal.none) == ("animals", "the animal", "no animal")
    assert (eaten.plural, eaten.the, eaten.none) == (
        "things you can eat",
        "something you can eat",
        "nothing you can eat",
    )


def test_every_noun_is_an_object_and_a_thing() -> None:
    objects, things = LEXICON.objects
    assert (objects.plural, things.the) == ("objects", "the thing")
    assert objects.nouns == things.nouns == set(NOUNS)
    assert not objects.doubtful


def test_a_taxi_is_a_car_too_and_a_truck_is_not_for_certain() -> None:
    lexicon = Lexicon.of([NOUN[name] for name in ("truck", "car", "taxi", "palm", "tree")])
    meant = {name: lexicon.meant_by(name) for name in ("truck", "car", "taxi", "palm", "tree", "bee")}
    assert meant == {"truck": (1,), "car": (2, 3), "taxi": (3,), "palm": (4,), "tree": (4, 5), "bee": ()}


@pytest.mark.parametrize("group", Lexicon.of(taught_nouns()).groups, ids=lambda group: group.name)
def test_the_groups_of_the_shipped_nouns(group: Group) -> None:
    """Members and doubtful ones from the words said of each noun; no noun's name in the group's own words."""
    nouns = taught_nouns()
    kinds = {noun.name: (noun.name, noun.plural) for noun in nouns}
    words = kinds | CATEGORY_WORDS | FUNCTION_WORDS
    (key,) = [key for key, forms in words.items() if forms == (group.name, group.plural)]
    doubtful = {noun for noun in nouns if key in noun.arguable}
    told = {noun for noun in nouns if key in (noun.name, noun.category, *noun.kinds, *noun.functions)}
    assert group.doubtful == doubtful
    assert group.nouns == told - doubtful
    assert FEWEST_MEMBERS <= len(group.nouns) < len(nouns) / 2
    forms = {form for noun in nouns if noun not in group.nouns for form in (noun.name, noun.plural)}
    assert not [form for form in forms if re.search(rf"\b{form}\b", f"{group.name} {group.plural}")]

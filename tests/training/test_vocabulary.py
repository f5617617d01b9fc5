import re
from collections import Counter
from dataclasses import replace

import pytest

from stamp.training import recipes
from stamp.training.art import HELD_OUT_PANORAMAS, STYLE_SOURCES
from stamp.training.nouns import CATEGORY_WORDS, FUNCTION_WORDS, NOUN_BY_NAME, NOUNS, Noun
from stamp.training.vocabulary import COLOURS, HELD_OUT_STYLE, TRAINING_STYLES, check_vocabulary, load_vocabulary

EMOJI_STYLES = ("fluent3d", "noto", "twemoji", "noto-v1")
APPLE = Noun("apple", "apples", "1f34e", "fruit", drawings=(("noto", "1f34e"),))
PALM = Noun("palm", "palms", "1f334", "tree", synonyms=("palm tree",), synonym_plurals=("palm trees",))


@pytest.fixture(scope="module")
def nouns() -> dict[str, Noun]:
    return {noun.name: noun for noun in load_vocabulary()}


def test_it_holds_hundreds_of_nouns_in_order_of_name(nouns: dict[str, Noun]) -> None:
    assert 500 <= len(nouns) == len(load_vocabulary())
    assert list(nouns) == sorted(nouns)


def test_every_word_points_at_one_noun(nouns: dict[str, Noun]) -> None:
    words = Counter(
        word for noun in nouns.values() for word in {noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals}
    )
    assert words.most_common(1)[0][1] == 1


def test_no_name_holds_a_word_of_another_noun(nouns: dict[str, Noun]) -> None:
    owner = {word: noun.name for noun in nouns.values() for word in (noun.name, noun.plural, *noun.synonyms)}
    for noun in nouns.values():
        for name in {noun.name, noun.plural}:
            for word, of in owner.items():
                assert of == noun.name or f" {word} " not in f" {name} ", (name, word)


def test_every_noun_is_drawn_by_three_emoji_styles_or_rendered(nouns: dict[str, Noun]) -> None:
    for noun in nouns.values():
        drawn = [style for style in EMOJI_STYLES if noun.drawings_in(style)]
        assert len(drawn) >= 3 or noun.drawings_in("sweethome3d"), noun.name
        assert bool(noun.code) == any(style != "sweethome3d" for style, _ in noun.drawings)


def test_what_is_said_of_a_noun_uses_known_words(nouns: dict[str, Noun]) -> None:
    categories = {noun.category for noun in nouns.values()}
    functions = {function for noun in nouns.values() for function in noun.functions}
    assert set(CATEGORY_WORDS) <= categories
    assert functions == set(FUNCTION_WORDS)
    for noun in nouns.values():
        assert set(noun.kinds) <= categories | set(nouns)
        assert set(noun.arguable) <= categories | set(nouns) | functions
        assert len(noun.synonyms) == len(noun.synonym_plurals)
    asked = {word for words in (*CATEGORY_WORDS.values(), *FUNCTION_WORDS.values()) for word in words}
    for word in asked:
        inside = {word[m.start() :] for m in re.finditer(r"\b", word)}
        assert not [name for name in nouns if any(f"{rest} ".startswith(f"{name} ") for rest in inside)], word
    assert {noun.colour for noun in nouns.values()} == {"", *COLOURS}


def test_fits_tells_true_from_false_and_leaves_the_arguable_open(nouns: dict[str, Noun]) -> None:
    assert nouns["taxi"].fits("car") and nouns["taxi"].fits("vehicle") and nouns["penguin"].fits("animal")
    assert nouns["banana"].fits("you can eat") and nouns["bicycle"].fits("you can ride")
    assert nouns["hammer"].fits("you can eat") is False and nouns["car"].fits("taxi") is False
    assert nouns["tomato"].fits("fruit") is None and nouns["penguin"].fits("that flies") is None


def test_articles_by_sound_and_none_for_what_is_not_counted(nouns: dict[str, Noun]) -> None:
    assert [nouns[name].article for name in ("apple", "hourglass", "unicorn", "bread", "socks")] == ["an"] * 2 + [
        "a",
        "",
        "",
    ]
    assert [NOUN_BY_NAME[name].article for name in ("apple", "sheep", "grapes")] == ["an", "a", ""]


def test_a_noun_of_the_shipped_checkpoint_is_drawn_from_its_code_in_any_style() -> None:
    assert NOUN_BY_NAME["apple"].drawings_in("noto") == ("1f34e",)
    assert len(NOUNS) == 120 and not any(noun.drawings for noun in NOUNS)


def test_the_held_out_style_is_in_no_training() -> None:
    assert HELD_OUT_STYLE not in TRAINING_STYLES and HELD_OUT_STYLE not in recipes.STYLES
    assert {*TRAINING_STYLES, HELD_OUT_STYLE} == set(STYLE_SOURCES)
    assert set(recipes.STYLES) <= set(TRAINING_STYLES) and len(set(HELD_OUT_PANORAMAS)) == 6
    packages = [source.package for source in STYLE_SOURCES.values()]
    assert len(set(packages)) == len(packages)


@pytest.mark.parametrize(
    ("nouns", "message"),
    [
        ([APPLE, replace(APPLE, plural="apple trees")], "'apple' names both 'apple' and 'apple'"),
        ([APPLE, replace(PALM, synonyms=("apple",), drawings=APPLE.drawings)], "names both"),
        ([APPLE, replace(PALM, name="apple palm", drawings=(("noto", "1f334"),))], "'apple palm' contains 'apple'"),
        ([replace(PALM, drawings=(("noto", "1f334"),)), APPLE], None),
        ([APPLE, replace(PALM, drawings=APPLE.drawings)], "shows both 'apple' and 'palm'"),
        ([PALM], "no drawing in a training style"),
        ([replace(APPLE, name="Apple")], "not lower-case words"),
        ([replace(APPLE, article="the")], "article must be"),
        ([replace(APPLE, colour="mauve")], "unknown colour 'mauve'"),
        ([replace(APPLE, drawings=(("noto", "scopia/apple"),))], "is not a drawing of noto"),
        ([replace(APPLE, functions=("you can eat",), arguable=("you can eat",))], "both true and arguable"),
    ],
)
def test_a_vocabulary_that_breaks_a_rule_is_refused(nouns: list[Noun], message: str | None) -> None:
    if message is None:
        check_vocabulary(nouns)
        return
    with pytest.raises(ValueError, match=message):
        check_vocabulary(nouns)

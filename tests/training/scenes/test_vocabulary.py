import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stamp.training.__main__ import main
from stamp.training.learning.recipes import RECIPES
from stamp.training.scenes.art import HELD_OUT_PANORAMAS, PHOTO_STYLE, STYLE_SOURCES
from stamp.training.scenes.nouns import CATEGORY_WORDS, FUNCTION_WORDS, Noun
from stamp.training.scenes.photographs import PhotoLibrary
from stamp.training.scenes.vocabulary import (
    COLOURS,
    HELD_OUT_STYLE,
    TRAINING_STYLES,
    check_vocabulary,
    load_vocabulary,
    taught_nouns,
)
from stamp.training.talk import phrases
from tests.training.photographs import write_jsonl

SHORT_NAMES = (
    "person bicycle car motorcycle airplane bus train truck boat bench bird cat dog horse sheep cow elephant "
    "bear zebra giraffe backpack umbrella handbag tie suitcase frisbee skis snowboard kite skateboard "
    "surfboard bottle cup fork knife spoon bowl banana apple sandwich orange broccoli carrot pizza donut cake "
    "chair couch bed toilet tv laptop mouse remote keyboard microwave oven toaster sink refrigerator book "
    "clock vase scissors toothbrush"
)
COCO_NOUNS = set(SHORT_NAMES.split()) | {
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "sports ball",
    "baseball bat",
    "baseball glove",
}
COCO_NOUNS |= {"tennis racket", "wine glass", "hot dog", "potted plant", "dining table", "cell phone", "teddy bear"}
COCO_NOUNS |= {"hair drier"}
EMOJI_STYLES = ("fluent3d", "noto", "twemoji", "noto-v1")
APPLE = Noun("apple", "apples", "fruit", drawings=(("noto", "1f34e"),))
PALM = Noun("palm", "palms", "tree", synonyms=("palm tree",), synonym_plurals=("palm trees",))


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


def test_no_noun_is_a_small_word_of_questions(nouns: dict[str, Noun]) -> None:
    """ "Can you ...?" asks for no can."""
    small = set(re.findall(r"[a-z]+", " ".join((*phrases.SEGMENT, *phrases.COUNT, *phrases.EXISTS)).lower()))
    for noun in nouns.values():
        assert small.isdisjoint({noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals} - {"masks"}), noun.name


def test_every_noun_is_drawn_or_photographed(nouns: dict[str, Noun]) -> None:
    """Those without a drawing are few, and everyday things."""
    undrawn = {noun.name for noun in nouns.values() if not any(style in TRAINING_STYLES for style, _ in noun.drawings)}
    assert len(undrawn) < 60
    assert {"bag", "belt", "ball", "fork"} - undrawn == {"fork"}


def test_what_is_said_of_a_noun_uses_known_words(nouns: dict[str, Noun]) -> None:
    categories = {noun.category for noun in nouns.values()}
    functions = {function for noun in nouns.values() for function in noun.functions}
    assert set(CATEGORY_WORDS) <= categories
    assert functions == set(FUNCTION_WORDS)
    for noun in nouns.values():
        assert set(noun.kinds) <= categories | set(nouns)
        assert set(noun.arguable) <= categories | set(nouns) | functions
        assert len(noun.synonyms) == len(noun.synonym_plurals)
    assert {noun.colour for noun in nouns.values()} == {"", *COLOURS}


def test_fits_tells_true_from_false_and_leaves_the_arguable_open(nouns: dict[str, Noun]) -> None:
    assert nouns["taxi"].fits("car")
    assert nouns["taxi"].fits("vehicle")
    assert nouns["penguin"].fits("animal")
    assert nouns["banana"].fits("you can eat")
    assert nouns["bicycle"].fits("you can ride")
    assert nouns["hammer"].fits("you can eat") is False
    assert nouns["car"].fits("taxi") is False
    assert nouns["tomato"].fits("fruit") is None
    assert nouns["penguin"].fits("that flies") is None


def test_articles_by_sound_and_none_for_what_is_not_counted(nouns: dict[str, Noun]) -> None:
    articles = {name: nouns[name].article for name in ("apple", "hourglass", "unicorn", "sheep", "bread", "socks")}
    assert list(articles.values()) == ["an", "an", "a", "a", "", ""]


def test_the_shipped_checkpoint_learns_what_people_type() -> None:
    taught = taught_nouns()
    assert len(taught) >= 550
    assert set(taught) < set(load_vocabulary())
    words = {word for noun in taught for word in (noun.name, *noun.synonyms)} | set(CATEGORY_WORDS)
    assert words.issuperset(COCO_NOUNS), COCO_NOUNS - words
    assert words.issuperset(("flower", "chicken", "hamburger", "doughnut", "police car", "race car", "birthday cake"))
    assert words.issuperset(("goose", "rhinoceros", "man", "woman", "child", "plane", "mug"))
    assert sum(bool(noun.drawings_in(HELD_OUT_STYLE)) for noun in taught) >= 300


def test_the_held_out_style_is_in_no_training() -> None:
    assert HELD_OUT_STYLE not in TRAINING_STYLES
    assert set(EMOJI_STYLES) < set(TRAINING_STYLES)
    assert {*TRAINING_STYLES, HELD_OUT_STYLE} == set(STYLE_SOURCES)
    stages = [stage for recipe in RECIPES.values() for stage in recipe().stages]
    assert {style for stage in stages for style in stage.plan.styles} == {*TRAINING_STYLES, PHOTO_STYLE}
    assert len(set(HELD_OUT_PANORAMAS)) == 6
    packages = [source.package for source in STYLE_SOURCES.values()]
    assert len(set(packages)) == len(packages)


class OpenedError(Exception):
    """Ends a command once it has its artwork."""


def test_what_commands_train_and_measure_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """(styles, held-out panoramas, nouns) of the artwork that a command opens."""
    opened: list[tuple[tuple[str, ...], bool, int]] = []

    class Art:
        def __init__(self, folder: Path, styles: Sequence[str], nouns: Sequence[Noun], held_out: bool = False) -> None:
            opened.append((tuple(styles), held_out, len(nouns)))

    def stop(*_: object, **__: object) -> None:
        raise OpenedError

    monkeypatch.setattr("stamp.training.scenes.art.ArtLibrary", Art)
    monkeypatch.setattr("stamp.training.scenes.training_pictures.ArtLibrary", Art)
    monkeypatch.setattr("stamp.training.learning.trainer.Trainer", stop)
    monkeypatch.setattr("stamp.training.card.scene_set.write_scene_set", stop)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    shipped = len(taught_nouns())
    for recipe in RECIPES:
        with pytest.raises(OpenedError):
            main(["train", "--recipe", recipe, "--init-from", "some/backbone"])
    assert opened == [(TRAINING_STYLES, False, shipped)] * len(RECIPES)
    opened.clear()
    with pytest.raises(SystemExit, match="--init-from"):
        main(["train", "--recipe", "nano"])
    for recipe, text in (("backbone", []), ("nano", ["--text-from", "some/words"])):
        with pytest.raises(SystemExit, match=f"The recipe {recipe} needs a trained vision tower: .* --eyes-from"):
            main(["train", "--recipe", recipe, *text])
    assert not opened
    for recipe, given in (("words", []), ("eyes", []), ("backbone", ["--eyes-from", "some/eyes"])):
        with pytest.raises(OpenedError):
            main(["train", "--recipe", recipe, *given])
    opened.clear()
    with pytest.raises(OpenedError):
        main(["scenes", "--out", "unused"])
    assert opened == [
        (TRAINING_STYLES, False, shipped),
        ((HELD_OUT_STYLE,), False, shipped),
        (TRAINING_STYLES, True, shipped),
    ]


@pytest.mark.parametrize(
    ("command", "called"),
    [("train", "stamp.training.learning.trainer.Trainer"), ("balance", "stamp.training.learning.balance.rebalance")],
)
def test_with_photographs_a_command_learns_from_them_and_from_their_cutouts(
    command: str, called: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The held-out picture is in neither."""
    photos = write_jsonl(tmp_path / "photos")
    given: list[object] = []

    def stop(*values: object, **named: object) -> None:
        given.extend([*values, *named.values()])
        raise OpenedError

    monkeypatch.setattr(
        "stamp.training.scenes.training_pictures.ArtLibrary", lambda folder, styles, nouns, cutouts: styles
    )
    monkeypatch.setattr(called, stop)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    start = ["--init-from", "some/backbone"] if command == "train" else []
    options = ["--photos", str(photos), "--art", str(tmp_path / "art"), "--out", str(tmp_path / "run")]
    with pytest.raises(OpenedError):
        main([command, *options, *start])
    assert (*TRAINING_STYLES, PHOTO_STYLE) in given
    (library,) = (one for one in given if isinstance(one, PhotoLibrary))
    assert [photo.path.name for photo in library.photographs] == ["one.jpg", "two.jpg"]
    cutouts = (tmp_path / "art" / "cutouts").rglob("*.png")
    assert [path.parent.name for path in cutouts] == ["cat", "cat"]  # the cars are too small


@pytest.mark.parametrize(
    ("nouns", "message"),
    [
        ([APPLE, replace(APPLE, plural="apple trees")], "'apple' names both 'apple' and 'apple'"),
        ([APPLE, replace(PALM, synonyms=("apple",), drawings=APPLE.drawings)], "names both"),
        ([APPLE, replace(PALM, name="apple palm", drawings=(("noto", "1f334"),))], None),
        ([replace(PALM, drawings=(("noto", "1f334"),)), APPLE], None),
        ([APPLE, replace(PALM, drawings=APPLE.drawings)], "shows both 'apple' and 'palm'"),
        ([PALM], None),
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

"""What is said must be true of the scene: read off the label map by other means, over many composed scenes."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from stamp.configuration_stamp import SEG_TOKEN
from stamp.training.art import ArtLibrary
from stamp.training.evaluate import is_right
from stamp.training.groups import CATEGORIES, USES
from stamp.training.nouns import NOUN_BY_NAME, NOUNS
from stamp.training.scenes import Scene, SceneConfig, compose_scene
from stamp.training.talk import chat, phrases, questions, requests
from stamp.training.talk.exchange import Exchange, a_noun, quantity, there_is
from stamp.training.talk.follow_ups import follow_up
from stamp.training.talk.makers import CHECKLIST_MAKERS, MASK_MAKERS, TEXT_MAKERS, as_typed, draw
from stamp.training.talk.situation import Situation
from tests.training.conftest import STYLES
from tests.training.talk.scenes import SCENE

Measure = Callable[[np.ndarray], float]


def centre(axis: int) -> Measure:
    return lambda mask: float(np.flatnonzero(mask.any(axis=1 - axis))[[0, -1]].sum() + 1) / 2 / mask.shape[axis]


EXTREMES: dict[str, tuple[Measure, int]] = {
    **dict.fromkeys(("left", "leftmost"), (centre(1), -1)),
    **dict.fromkeys(("right", "rightmost"), (centre(1), 1)),
    **dict.fromkeys(("top", "topmost", "highest"), (centre(0), -1)),
    **dict.fromkeys(("bottom", "bottommost", "lowest"), (centre(0), 1)),
    **dict.fromkeys(("biggest", "largest", "bigger", "larger"), (lambda mask: float(mask.sum()), 1)),
    **dict.fromkeys(("smallest", "tiniest", "smaller"), (lambda mask: float(mask.sum()), -1)),
}


def words_of(text: str) -> list[str]:
    return text.lower().replace("?", " ").replace(".", " ").replace(",", " ").split()


def by_words(question: str, scene: Scene) -> int:
    """The mask id that an extreme in a question points at, from pixels."""
    (word,) = [word for word in words_of(question) if word in EXTREMES]
    measure, sign = EXTREMES[word]
    named = [item for item in scene.objects if f"{item.noun.name}" in question]
    candidates = named if len(named) > 1 else scene.objects
    return max(candidates, key=lambda item: sign * measure(scene.labels == item.mask_id)).mask_id


def composed(library: ArtLibrary, n: int) -> list[Scene]:
    config = SceneConfig(width=96, height=96, styles=STYLES)
    return [compose_scene(seed, library, config) for seed in range(n)]


def test_every_kind_is_drawn_and_well_formed(library: ArtLibrary) -> None:
    kinds: set[str] = set()
    for scene in composed(library, 60):
        s = Situation(scene, Random(scene.seed))
        for makers in (MASK_MAKERS, TEXT_MAKERS, CHECKLIST_MAKERS) * 8:
            exchange = draw(makers, s)
            kinds.add(exchange.kind)
            check_form(exchange, scene)
            check_truth(exchange, scene)
    places = {f"segment_{kind}" for kind in ("place", "size", "beside", "group", "several", "everything", "absent")}
    asked = {"what", "what_beside", "count", "exists", "which", "count_each", "describe", "where", "bigger"}
    assert kinds == {"segment", "unknown", "small_talk"} | places | asked


def check_form(exchange: Exchange, scene: Scene) -> None:
    ids = {item.mask_id for item in scene.objects}
    assert exchange.answer.count(SEG_TOKEN) == len(exchange.targets)
    assert SEG_TOKEN not in exchange.question
    assert "{" not in exchange.question + exchange.answer
    assert exchange.phrase is None or exchange.phrase in exchange.question
    for target in (*exchange.targets, *exchange.found):
        assert target
        assert set(target) <= ids
    assert exchange.about is None or exchange.about in ids
    if exchange.accepted:
        assert is_right(exchange, exchange.answer), exchange


def check_truth(exchange: Exchange, scene: Scene) -> None:
    counts = {noun.name: 0 for noun in NOUNS}
    for item in scene.objects:
        counts[item.noun.name] += 1
    quoted = exchange.answer.split("'")[1::2]
    if exchange.kind in ("segment", "segment_several"):
        for name, target in zip(quoted, exchange.targets, strict=True):
            nouns = {scene.objects[mask_id - 1].noun for mask_id in target}
            (noun,) = nouns
            assert name in (noun.name, noun.plural)
            assert len(target) == counts[noun.name]
            assert noun.name in exchange.question or noun.plural in exchange.question
    if exchange.kind in ("segment_place", "segment_size", "what"):
        (target,) = exchange.targets or exchange.found
        assert target == (by_words(exchange.question, scene),)
    if exchange.kind.startswith("segment"):
        assert exchange.phrase
    if exchange.kind == "segment_everything":
        assert set(exchange.targets[0]) == {item.mask_id for item in scene.objects}
    if exchange.kind == "segment_group":
        (group,) = [g for g in (*CATEGORIES, *USES) if g.name in exchange.question or g.plural in exchange.question]
        assert set(exchange.targets[0]) == {item.mask_id for item in scene.objects if item.noun in group.nouns}
    if exchange.kind in ("which", "count_each"):
        items = [item.rsplit(" ", 1) for item in exchange.answer.rstrip(".").split(", ")]
        assert ", ".join(name for name, _ in items) in exchange.question
        numbers = {name: str(counts[name]) for name, _ in items}
        if exchange.kind == "which":
            numbers = {name: "no" if count == "0" else "yes" for name, count in numbers.items()}
        assert dict(items) == numbers
    if exchange.kind == "bigger":
        first, second = (NOUN_BY_NAME[name] for name in counts if f"the {name}" in exchange.question)
        (one,), (other,) = ([item for item in scene.objects if item.noun == noun] for noun in (first, second))
        areas = {item.noun.name: int((scene.labels == item.mask_id).sum()) for item in (one, other)}
        assert exchange.accepted == (max(areas, key=lambda name: areas[name]),)
    if exchange.kind == "segment_absent":
        named = [noun for noun in NOUNS if f" {noun.name} " in exchange.answer]
        groups = [group for group in CATEGORIES if f" {group.name} " in exchange.answer]
        assert len(named) + len(groups) == 1
        assert all(counts[noun.name] == 0 for noun in named)
        assert not any(item.noun in group.nouns for group in groups for item in scene.objects)


def test_beside_points_at_the_only_object_there(library: ArtLibrary) -> None:
    measures = {"left": (centre(1), -1), "right": (centre(1), 1), "above": (centre(0), -1), "higher": (centre(0), -1)}
    measures |= {"below": (centre(0), 1), "lower": (centre(0), 1)}
    seen = 0
    for scene in composed(library, 60):
        s = Situation(scene, Random(scene.seed))
        for maker in (questions.ask_beside, requests.segment_beside) * 4:
            if (exchange := maker(s)) is None:
                continue
            words = [word for word in words_of(exchange.question) if word in measures]
            if not words:
                continue
            measure, sign = measures[words[0]]
            (anchor,) = [item for item in scene.objects if f"the {item.noun.name}" in exchange.question]
            edge = sign * measure(scene.labels == anchor.mask_id)
            beyond = [o.mask_id for o in scene.objects if sign * measure(scene.labels == o.mask_id) > edge + 1e-9]
            assert exchange.found == (tuple(beyond),)
            seen += 1
    assert seen > 20


def test_counts_of_nouns_categories_and_everything(library: ArtLibrary) -> None:
    for scene in composed(library, 40):
        s = Situation(scene, Random(scene.seed))
        for _ in range(10):
            exchange = questions.ask_count(s)
            asked = " " + " ".join(words_of(exchange.question)) + " "
            plurals = {*(noun.plural for noun in NOUNS), *(group.plural for group in CATEGORIES), "objects"}
            (plural,) = [word for word in plurals if f" {word} " in asked]
            members = [
                item
                for item in scene.objects
                if plural in ("objects", item.noun.plural)
                or any(group.plural == plural and item.noun in group.nouns for group in CATEGORIES)
            ]
            assert exchange.accepted[1] == str(len(members))


def test_follow_ups_know_what_it_is(library: ArtLibrary) -> None:
    kinds: set[str] = set()
    for scene in composed(library, 80):
        s = Situation(scene, Random(scene.seed))
        for makers in (MASK_MAKERS, TEXT_MAKERS) * 6:
            before = draw(makers, s)
            if (after := follow_up(s, before)) is None:
                continue
            kinds.add(after.kind)
            check_form(after, scene)
            if after.kind == "follow_it":
                assert after.targets == ((before.about,),)
                assert not before.targets
            if after.kind == "follow_next":
                assert before.about is not None
                assert after.about != before.about
            if after.kind == "follow_and":
                assert before.kind.startswith("segment")
                (noun,) = {scene.objects[mask_id - 1].noun for mask_id in after.targets[0]}
                assert noun.name in after.question or noun.plural in after.question
    assert kinds == {"follow_it", "follow_next", "follow_and", "follow_count", "where"}


def test_words() -> None:
    assert [a_noun(NOUN_BY_NAME[name]) for name in ("apple", "bee", "grapes", "fish")] == [
        *("an apple", "a bee", "grapes", "a fish")
    ]
    assert [quantity("apple", "apples", n) for n in range(3)] == ["no apples", "one apple", "two apples"]
    assert [there_is(NOUN_BY_NAME[name]) for name in ("apple", "grapes")] == ["there is an apple", "there are grapes"]


def test_a_category_is_there_by_the_name_of_its_only_member() -> None:
    told = [questions.ask_exists(Situation(SCENE, Random(seed))) for seed in range(2000)]
    by_word = {word: {one.answer for one in told if word in one.question} for word in ("insect", "fruit", "vehicle")}
    assert by_word["insect"] == {"Yes, there is a bee."}
    assert by_word["fruit"] == {"Yes, there are two fruits."}
    assert by_word["vehicle"] == {"No, there is no vehicle."}
    exchange = next(one for one in told if "insect" in one.question)
    assert is_right(exchange, exchange.answer)
    assert not is_right(exchange, "No, there is no insect.")


def test_describe_reads_from_left_to_right() -> None:
    assert questions.ask_describe(Situation(SCENE, Random(0))).answer == "I see a bee and two apples."


def test_untaught_words_are_no_words_of_the_vocabulary() -> None:
    rng = Random(0)
    taught = {word for noun in NOUNS for name in (noun.name, noun.plural) for word in name.split()}
    words = {chat.untaught_word(rng) for _ in range(500)}
    assert len(words) > 300
    assert not words & taught
    for _ in range(50):
        exchange = chat.ask_unknown(Situation(SCENE, rng))
        assert exchange.answer == "I don't know that word."
        assert not set(words_of(exchange.question)) & taught


@pytest.mark.parametrize("group", [*CATEGORIES, *USES], ids=lambda group: group.name)
def test_groups_have_members_and_words_of_their_own(group: object) -> None:
    assert isinstance(group, type(CATEGORIES[0]))
    assert 3 <= len(group.nouns) < len(NOUNS) / 2
    words = f" {group.name} {group.plural} "
    assert not any(f" {name} " in words for noun in NOUNS for name in (noun.name, noun.plural))


def test_the_last_of_many_phrasings_is_never_heard() -> None:
    heard = {Situation(SCENE, Random(seed)).put(phrases.SEGMENT, the="the bee") for seed in range(300)}
    assert heard == {phrase.format(the="the bee") for phrase in phrases.SEGMENT[:-1]}
    unheard = Situation(SCENE, Random(0), unheard=True)
    assert unheard.put(phrases.SEGMENT, the="the bee") == "Please mark the bee in the image."


def test_typed_questions_keep_their_words() -> None:
    rng = Random(0)
    for _ in range(200):
        typed = as_typed("Is there a bee?", rng)
        assert typed.lower().rstrip("?") == "is there a bee"

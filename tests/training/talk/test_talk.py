"""What is said must be true of the scene: read off the label map by other means, over many composed scenes."""

import re
from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from stamp.model.configuration_stamp import SEG_TOKEN
from stamp.training.card.evaluate import is_answered
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.scenes import Scene, SceneConfig, compose_scene
from stamp.training.scenes.vocabulary import taught_nouns
from stamp.training.talk import chat, questions, requests
from stamp.training.talk.exchange import MOST_COUNTED, Exchange, a_noun, quantity, there_is
from stamp.training.talk.follow_ups import follow_up
from stamp.training.talk.makers import CHECKLIST_MAKERS, MASK_MAKERS, TEXT_MAKERS, as_typed, draw
from stamp.training.talk.situation import Situation
from tests.training.conftest import LEXICON, NOUN, NOUNS, STYLES
from tests.training.scenes.test_groups import MEMBERS
from tests.training.talk.oracle import COLOURED, UNCOUNTED, forms, groups_in, holds, meant_by, named_in
from tests.training.talk.scenes import SCENE, scene_of

Measure = Callable[[np.ndarray], float]


def centre(axis: int) -> Measure:
    return lambda mask: float(np.flatnonzero(mask.any(axis=1 - axis))[[0, -1]].sum() + 1) / 2 / mask.shape[axis]


def off_centre(mask: np.ndarray) -> float:
    return max(abs(centre(axis)(mask) - 0.5) for axis in (0, 1))


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
    candidates = [item for noun in named_in(question) for item in meant_by(noun, scene)] or scene.objects
    if not {"middle", "centre"}.isdisjoint(words_of(question)):
        (item,) = [one for one in candidates if off_centre(scene.labels == one.mask_id) <= 0.12]
        assert all(other is item or off_centre(scene.labels == other.mask_id) >= 0.2 for other in candidates)
        return item.mask_id
    if not EXTREMES.keys() & set(words_of(question)):  # what the picture is of
        item = max(candidates, key=lambda one: np.count_nonzero(scene.labels == one.mask_id))
        others = [int(np.count_nonzero(scene.labels == one.mask_id)) for one in candidates if one is not item]
        assert np.count_nonzero(scene.labels == item.mask_id) >= max(0.1 * scene.labels.size, 3 * max(others))
        return item.mask_id
    (word,) = [word for word in words_of(question) if word in EXTREMES]
    measure, sign = EXTREMES[word]
    return max(candidates, key=lambda item: sign * measure(scene.labels == item.mask_id)).mask_id


def composed(library: ArtLibrary, n: int) -> list[Scene]:
    config = SceneConfig(STYLES, width=96, height=96)
    return [compose_scene(seed, library, config) for seed in range(n)]


def test_every_kind_is_drawn_and_well_formed(library: ArtLibrary) -> None:
    kinds: set[str] = set()
    for scene in composed(library, 60):
        s = Situation(scene, Random(scene.seed), LEXICON)
        for makers in (MASK_MAKERS, TEXT_MAKERS, CHECKLIST_MAKERS) * 8:
            exchange = draw(makers, s)
            kinds.add(exchange.kind)
            check_form(exchange, scene)
            check_truth(exchange, scene)
    kinds_of_masks = ("colour", "place", "size", "beside", "group", "several", "everything", "absent")
    places = {f"segment_{kind}" for kind in kinds_of_masks}
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
        assert is_answered(exchange, exchange.answer, LEXICON), exchange


def check_truth(exchange: Exchange, scene: Scene) -> None:
    named = re.findall(r"(?:for|and|,) the ([^:]+): <", exchange.answer)
    if exchange.kind in ("segment", "segment_colour", "segment_several"):
        for name, target in zip(named, exchange.targets, strict=True):
            (noun,) = {scene.objects[mask_id - 1].noun for mask_id in target}
            assert name in (noun.name, noun.plural)
            assert set(target) == {item.mask_id for item in meant_by(noun, scene)}
            assert noun in named_in(exchange.question)
        assert len(named_in(exchange.question)) == len(named)
    if exchange.kind == "segment_colour":
        (noun,) = named_in(exchange.question)
        assert any(holds(exchange.question, f"{COLOURED[noun.name]} {form}") for form in forms(noun))
    if exchange.kind in ("segment_place", "segment_size", "what"):
        (target,) = exchange.targets or exchange.found
        assert target == (by_words(exchange.question, scene),)
    if exchange.kind.startswith("segment"):
        assert exchange.phrase
    if exchange.kind == "segment_everything":
        assert set(exchange.targets[0]) == {item.mask_id for item in scene.objects}
    if exchange.kind == "segment_group":
        check_group(exchange, scene)
    if exchange.kind in ("which", "count_each"):
        check_list(exchange, scene)
    if exchange.kind == "bigger":
        (one,), (other,) = (meant_by(noun, scene) for noun in named_in(exchange.question))
        areas = {item.noun.name: int((scene.labels == item.mask_id).sum()) for item in (one, other)}
        assert exchange.accepted == (max(areas, key=lambda name: areas[name]),)
    if exchange.kind == "segment_absent":
        check_absent(exchange, scene)


def check_group(exchange: Exchange, scene: Scene) -> None:
    (group,) = groups_in(exchange.question)
    certain, doubtful = MEMBERS[group]
    names = {item.mask_id: item.noun.name for item in scene.objects}
    assert not doubtful & set(names.values())
    assert set(exchange.targets[0]) == {mask_id for mask_id, name in names.items() if name in certain}


def check_list(exchange: Exchange, scene: Scene) -> None:
    counts = {noun.name: len(meant_by(noun, scene)) for noun in NOUNS}
    items = [item.rsplit(" ", 1) for item in exchange.answer.rstrip(".").split(", ")]
    assert ", ".join(name for name, _ in items) in exchange.question
    numbers = {name: str(counts[name]) for name, _ in items}
    if exchange.kind == "which":
        numbers = {name: "no" if count == "0" else "yes" for name, count in numbers.items()}
    else:
        assert not UNCOUNTED & set(numbers)
    assert dict(items) == numbers


def check_absent(exchange: Exchange, scene: Scene) -> None:
    said = re.fullmatch(r"There (?:is|are) (?:no )?(.+) in the image\.", exchange.answer)
    assert said, exchange.answer
    nouns = [noun for noun in NOUNS if noun.name == said[1]]
    groups = groups_in(exchange.answer)
    assert len(nouns) + len(groups) == 1
    assert not any(meant_by(noun, scene) for noun in nouns)
    for group in groups:
        assert groups_in(exchange.question) == groups
        assert not {item.noun.name for item in scene.objects} & set().union(*MEMBERS[group])


def test_beside_points_at_the_only_object_there(library: ArtLibrary) -> None:
    measures = {"left": (centre(1), -1), "right": (centre(1), 1), "above": (centre(0), -1), "higher": (centre(0), -1)}
    measures |= {"below": (centre(0), 1), "lower": (centre(0), 1)}
    seen = named = 0
    for scene in composed(library, 60):
        s = Situation(scene, Random(scene.seed), LEXICON)
        for maker in (questions.ask_beside, requests.segment_beside) * 4:
            if (exchange := maker(s)) is None:
                continue
            words = [word for word in words_of(exchange.question) if word in measures]
            if not words:
                continue
            measure, sign = measures[words[0]]
            asked, _, of_anchor = exchange.question.partition(f" {words[0]} ")
            (noun,) = named_in(of_anchor)
            (anchor,) = meant_by(noun, scene)
            edge = sign * measure(scene.labels == anchor.mask_id)
            beyond = [o for o in scene.objects if sign * measure(scene.labels == o.mask_id) > edge + 1e-9]
            kinds = [member for group in groups_in(asked) for member in MEMBERS[group][0]]
            kinds += [noun.name for noun in named_in(asked)]
            meant = [o.mask_id for o in beyond if o.noun.name in kinds or not kinds]
            assert (exchange.targets or exchange.found) == (tuple(meant),)
            named += bool(kinds)
            seen += 1
    assert seen > 20
    assert named > 5


def test_counts_of_nouns_categories_and_everything(library: ArtLibrary) -> None:
    counted = {"group": 0, "noun": 0, "everything": 0}
    for scene in composed(library, 40):
        s = Situation(scene, Random(scene.seed), LEXICON)
        for exchange in filter(None, (questions.ask_count(s) for _ in range(10))):
            nouns, groups = named_in(exchange.question), groups_in(exchange.question)
            if groups:
                (certain, doubtful) = MEMBERS[groups.pop()]
                names = [item.noun.name for item in scene.objects]
                assert not doubtful & set(names)
                expected = sum(name in certain for name in names)
                counted["group"] += 1
            elif nouns:
                (noun,) = nouns
                assert noun.name not in UNCOUNTED
                expected = len(meant_by(noun, scene))
                counted["noun"] += 1
            else:
                assert holds(exchange.question, "objects")
                expected = len(scene.objects)
                counted["everything"] += 1
            assert exchange.accepted[1] == str(expected)
    assert min(counted.values()) > 3


def test_follow_ups_know_what_it_is(library: ArtLibrary) -> None:
    kinds: set[str] = set()
    for scene in composed(library, 80):
        s = Situation(scene, Random(scene.seed), LEXICON)
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
                assert named_in(after.question) == [noun]
                assert set(after.targets[0]) == {item.mask_id for item in meant_by(noun, scene)}
            if after.kind == "follow_count":
                (noun,) = named_in(after.question)
                assert noun.name not in UNCOUNTED
                assert after.accepted[1] == str(len(meant_by(noun, scene)))
    assert kinds == {"follow_it", "follow_next", "follow_and", "follow_count", "where"}


def test_words() -> None:
    assert [a_noun(NOUN[name]) for name in ("apple", "bee", "grapes", "fish")] == [
        *("an apple", "a bee", "grapes", "a fish")
    ]
    assert [quantity("apple", "apples", n) for n in range(3)] == ["no apples", "one apple", "two apples"]
    assert [there_is(NOUN[name]) for name in ("apple", "grapes", "bread")] == [
        *("there is an apple", "there are grapes", "there is bread")
    ]


def test_describe_reads_from_left_to_right() -> None:
    assert questions.ask_describe(Situation(SCENE, Random(0), LEXICON)).answer == "I see a bee and two apples."


def test_untaught_words_are_no_words_of_the_vocabulary() -> None:
    rng, lexicon = Random(0), Lexicon.of(taught_nouns())
    taught = {form for noun in lexicon.nouns for form in forms(noun)}
    in_taught = {word for form in taught for word in form.split()}
    words = {chat.untaught_word(rng, lexicon) for _ in range(500)}
    assert len(words) > 300
    assert not words & in_taught
    grown = [word for word in words if any(word.startswith(form) for form in in_taught if len(form) > 3)]
    assert len(grown) > 40
    for _ in range(200):
        exchange = chat.ask_unknown(Situation(SCENE, rng, lexicon))
        assert exchange.answer == "I don't know that word."
        question = f" {' '.join(words_of(exchange.question))} "
        assert not any(f" {form} " in question for form in taught)


def test_the_plural_of_an_untaught_word_is_untaught(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "How many jeans?" is about a noun, though nothing is called a jean."""
    made = iter(("jean", "blorb"))
    monkeypatch.setattr(chat, "UNTAUGHT", "jean")
    monkeypatch.setattr(chat, "GROWN_SHARE", 0.0)
    monkeypatch.setattr(chat, "made_up_word", lambda rng: next(made))
    assert chat.untaught_word(Random(0), Lexicon.of([NOUN["jeans"]])) == "blorb"


def test_typed_questions_keep_their_words() -> None:
    rng = Random(0)
    seen = {as_typed("Is there a bee?", rng) for _ in range(2000)}
    assert all(typed.lower().count("is there a bee") == 1 for typed in seen)
    assert {"Is there a bee?", "is there a bee", "IS THERE A BEE?"} <= seen
    assert {"Hey, is there a bee?", "Is there a bee, please?", "Tell me: is there a bee"} <= seen
    assert not any(re.search(r"[A-Za-z][?][^?]", typed) for typed in seen)


def test_more_than_can_be_counted_are_not_counted_in_a_follow_up_either() -> None:
    """As in a photograph of a crowd: there is no word for so many."""
    crowd = scene_of(
        *(("apple", (10 * i, 0, 10 * i + 8, 10)) for i in range(MOST_COUNTED + 1)), ("bee", (0, 40, 30, 70))
    )
    situation = Situation(crowd, Random(0), LEXICON)
    asked = [follow_up(situation, Exchange("count", "How many?", "One.")) for _ in range(50)]
    assert {one.answer for one in asked if one is not None} == {"There is one bee."}

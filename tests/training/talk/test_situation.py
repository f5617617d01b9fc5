"""What may be asked about: nouns that mean one thing in the scene, under the names people use."""

from collections import Counter
from random import Random

from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.scenes import Scene
from stamp.training.talk import phrases
from stamp.training.talk.situation import Situation
from tests.training.conftest import LEXICON, NOUN
from tests.training.talk.scenes import SCENE, scene_of

LEFT, MIDDLE, RIGHT = (0, 0, 20, 20), (40, 30, 60, 50), (80, 60, 100, 80)


def situation(scene: Scene, seed: int = 0) -> Situation:
    return Situation(scene, Random(seed), LEXICON)


def subjects(*names: str) -> dict[str, int]:
    scene = scene_of(*zip(names, (LEFT, MIDDLE, RIGHT), strict=False))
    return {noun.name: len(items) for noun, items in situation(scene).subjects().items()}


def test_a_noun_that_may_mean_another_object_is_no_subject() -> None:
    assert subjects("car", "bee") == {"car": 1, "bee": 1}
    assert subjects("car", "taxi", "car") == {"taxi": 1}
    assert subjects("car", "truck", "bee") == {"truck": 1, "bee": 1}  # some call a truck a car
    assert subjects("palm", "tree", "rose") == {"palm": 1, "rose": 1}
    assert subjects("bee", "car", "bee") == {"bee": 2, "car": 1}


def test_single_objects_are_subjects_that_are_there_once() -> None:
    scene = scene_of(("car", LEFT), ("taxi", MIDDLE), ("car", RIGHT))
    assert situation(scene).singles() == [scene.objects[1]]
    assert situation(scene).single() is scene.objects[1]
    bees = scene_of(("bee", LEFT), ("bee", MIDDLE))
    assert situation(bees).singles() == []
    assert situation(bees).single() is None


def test_a_quarter_of_the_calls_use_a_synonym_with_its_plural() -> None:
    s = situation(SCENE)
    calls = Counter(s.call(NOUN["bee"]) for _ in range(2000))
    others = {("honeybee", "honeybees"), ("bumblebee", "bumblebees")}
    assert set(calls) == {("bee", "bees"), *others}
    assert 0.2 < sum(calls[pair] for pair in others) / 2000 < 0.3
    assert {s.call(NOUN["cow"]) for _ in range(50)} == {("cow", "cows")}


def test_an_absent_noun_is_true_of_nothing_in_the_scene() -> None:
    everything = {noun.name for noun in LEXICON.nouns}
    taxi, truck = (situation(scene_of((name, LEFT), ("bee", RIGHT))) for name in ("taxi", "truck"))
    assert {taxi.absent_noun().name for _ in range(600)} == everything - {"taxi", "car", "bee"}
    assert {truck.absent_noun().name for _ in range(600)} == everything - {"car", "bee"}


def test_a_group_with_a_doubtful_member_is_neither_there_nor_absent() -> None:
    food = next(group for group in LEXICON.groups if group.name == "food")
    absent = {
        name: situation(scene_of((name, LEFT), ("bee", RIGHT))).is_absent(food) for name in ("cow", "apple", "cat")
    }
    assert absent == {"cow": False, "apple": False, "cat": True}


def test_the_last_of_many_phrasings_is_never_heard() -> None:
    heard = {situation(SCENE, seed).put(phrases.SEGMENT, the="the bee") for seed in range(300)}
    assert heard == {phrase.format(the="the bee") for phrase in phrases.SEGMENT[:-1]}
    held_out_phrases = Situation(SCENE, Random(0), Lexicon.of(()), held_out_phrases=True)
    assert held_out_phrases.put(phrases.SEGMENT, the="the bee") == "Please mark the bee in the image."

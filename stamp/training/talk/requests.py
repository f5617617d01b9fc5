"""Requests for masks: by name, place, size, neighbour, kind or use; several at once; and for things that are absent."""

from collections.abc import Sequence
from dataclasses import replace

from stamp.model.configuration_stamp import SEG_TOKEN
from stamp.training.scenes.groups import Group
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.scenes import SceneObject
from stamp.training.talk import facts, phrases
from stamp.training.talk.exchange import Exchange, verb_of
from stamp.training.talk.situation import Situation

#: Share of the requests for people that ask for everyone.
EVERYONE_SHARE = 0.3


def one_mask(kind: str, question: str, name: str, items: Sequence[SceneObject]) -> Exchange:
    """The answer with one joint mask for some objects.

    The name follows a blank, not a quote as in the published answers: in quotes, a small vocabulary would spell it out.
    """
    answer = f"Sure, here is the segmentation mask for the {name}: {SEG_TOKEN}"
    about = items[0].mask_id if len(items) == 1 else None
    return Exchange(kind, question, answer, (tuple(item.mask_id for item in items),), about=about)


def named_mask(kind: str, question: str, item: SceneObject) -> Exchange:
    """The answer with the mask of one object that the question does not name."""
    return replace(one_mask(kind, question, item.noun.name, (item,)), found=((item.mask_id,),))


def ask_for(
    s: Situation, kind: str, the: str, items: Sequence[SceneObject], name: str = "", several: bool = False
) -> Exchange:
    """A request for "the ..." and its answer with one mask.

    name: of all items, as in the question; without it, the answer has to find the name of the only item.
    """
    question = s.put(phrases.SEGMENT_SEVERAL if several else phrases.SEGMENT, the=the)
    exchange = one_mask(kind, question, name, items) if name else named_mask(kind, question, items[0])
    return replace(exchange, phrase=the)


def segment_name(s: Situation) -> Exchange | None:
    """A noun the scene shows; several objects of that noun make one mask."""
    if not (subjects := s.subjects()):
        return None
    noun, items = s.rng.choice(list(subjects.items()))
    return _by_name(s, "segment", noun, items, *s.call(noun))


def segment_colour(s: Situation) -> Exchange | None:
    """The same, for a noun that has one colour in every drawing: "the red apple"."""
    coloured = [(noun, items) for noun, items in s.subjects().items() if noun.colour and s.scene.true_colours]
    if not coloured:
        return None
    noun, items = s.rng.choice(coloured)
    one, many = s.call(noun)
    return _by_name(s, "segment_colour", noun, items, f"{noun.colour} {one}", f"{noun.colour} {many}")


def _by_name(s: Situation, kind: str, noun: Noun, items: Sequence[SceneObject], one: str, many: str) -> Exchange:
    """All objects of a noun, asked for by its singular and plural."""
    if len(items) > 1 and s.rng.random() < 0.7:
        return ask_for(s, kind, _all_of(s, many, len(items)), items, noun.plural, several=True)
    return ask_for(s, kind, f"the {one}", items, noun.name if len(items) == 1 else noun.plural)


def _all_of(s: Situation, plural: str, count: int) -> str:
    if plural == "people" and s.rng.random() < EVERYONE_SHARE:
        return s.rng.choice(phrases.EVERYONE)
    forms = (*phrases.ALL, *phrases.BOTH) if count == 2 else phrases.ALL
    return s.rng.choice(forms).format(plural)


def segment_place(s: Situation) -> Exchange | None:
    """The object farthest to a side or in the middle, among all or among those of one noun."""
    side = s.rng.choice((*facts.SIDES, "middle"))
    word, among = _candidates(s)
    if side == "middle":
        item, forms = facts.clear_middle(s.scene, among), phrases.MIDDLE
    else:
        item, forms = facts.clear_extreme(s.scene, side, among), phrases.EXTREME[side]
    if item is None:
        return None
    the = s.rng.choice(forms).format(word)
    return ask_for(s, "segment_place", the, (item,), word if word == item.noun.name else "")


def segment_size(s: Situation) -> Exchange | None:
    """The biggest or smallest object, among all or among those of one noun."""
    size = s.rng.choice(("big", "small"))
    word, among = _candidates(s)
    if (item := facts.clear_size(s.scene, size == "big", among)) is None:
        return None
    forms: tuple[str, ...] = phrases.SIZE[size]
    if len(among) == 2:
        forms = (*forms, *phrases.BIGGER_OF_TWO[size])
    the = s.rng.choice(forms).format(word)
    return ask_for(s, "segment_size", the, (item,), word if word == item.noun.name else "")


def _candidates(s: Situation) -> tuple[str, tuple[SceneObject, ...]]:
    """All objects ("object", "thing"), or half the time those of a noun that occurs more than once."""
    repeated = [(noun.name, items) for noun, items in s.counted().items() if len(items) > 1]
    if repeated and s.rng.random() < 0.6:
        return s.rng.choice(repeated)
    return s.rng.choice(s.lexicon.objects).name, facts.everything(s.scene)


def segment_beside(s: Situation) -> Exchange | None:
    """The object on a side of another, or next to it; sometimes by its noun or kind: "the animal left of the bus"."""
    if (anchor := s.single()) is None:
        return None
    if s.rng.random() < 0.5:
        return _named_beside(s, anchor)
    beside, item = pick_beside(s, anchor)
    if item is None:
        return None
    word = s.rng.choice(("object", "thing"))
    return ask_for(s, "segment_beside", f"the {word} {beside} the {s.call(anchor.noun)[0]}", (item,))


def _named_beside(s: Situation, anchor: SceneObject) -> Exchange | None:
    """The only one of its noun or kind on a side of the anchor."""
    side = s.rng.choice(facts.SIDES)
    kinds = [(noun.name, items) for noun, items in s.counted().items() if noun is not anchor.noun]
    if s.rng.random() < 0.4:
        kinds = [
            (group.name, items)
            for group in s.lexicon.categories
            if (items := facts.members(s.scene, group)) and anchor not in items
        ]
    found = [(word, item) for word, items in kinds if (item := facts.only_beside(s.scene, anchor, side, items))]
    if not found:
        return None
    word, item = s.rng.choice(found)
    the = f"the {word} {s.rng.choice(phrases.BESIDE[side])} the {s.call(anchor.noun)[0]}"
    return ask_for(s, "segment_beside", the, (item,), word if word == item.noun.name else "")


def pick_beside(s: Situation, anchor: SceneObject) -> tuple[str, SceneObject | None]:
    """A way to say where something is from an object ("left of"), and what is there, if that is clear."""
    if s.rng.random() < 0.25:
        return s.rng.choice(phrases.NEXT_TO), facts.nearest(s.scene, anchor)
    side = s.rng.choice(facts.SIDES)
    return s.rng.choice(phrases.BESIDE[side]), facts.neighbour(s.scene, anchor, side)


def segment_group(s: Situation) -> Exchange | None:
    """Objects of a kind or for a use; a single one is named by its noun, several by the kind."""
    groups = [group for group in s.lexicon.groups if facts.members(s.scene, group)]
    if not groups:
        return None
    group = s.rng.choice(groups)
    items = facts.members(s.scene, group) or ()
    if len(items) == 1:
        return ask_for(s, "segment_group", group.the, items)
    return ask_for(s, "segment_group", _all_of(s, group.plural, len(items)), items, group.plural, several=True)


def segment_everything(s: Situation) -> Exchange | None:
    """All objects in one mask, if all are known."""
    if s.scene.unmarked:
        return None
    objects, things = s.lexicon.objects
    the = s.rng.choice(("everything", f"all {objects.plural}", f"all the {things.plural}"))
    return ask_for(s, "segment_everything", the, s.scene.objects, objects.plural, several=True)


def segment_several(s: Situation) -> Exchange | None:
    """Two or three nouns, a mask each, in the order of the request."""
    if len(singles := s.singles()) < 2:
        return None
    items = s.rng.sample(singles, 3 if len(singles) > 2 and s.rng.random() < 0.3 else 2)
    names = [f"the {s.call(item.noun)[0]}" for item in items]
    the = f"{', '.join(names[:-1])} and {names[-1]}"
    question = s.put(phrases.SEGMENT_SEVERAL, the=the)
    masks = [f"the {item.noun.name}: {SEG_TOKEN}" for item in items]
    answer = f"Sure, here are the segmentation masks for {', '.join(masks[:-1])} and {masks[-1]}"
    return Exchange("segment_several", question, answer, tuple((item.mask_id,) for item in items), phrase=the)


def segment_absent(s: Situation) -> Exchange:
    """Something that is not there: the answer says so and has no mask."""
    noun = s.absent_noun()
    none, the = f"{verb_of(noun)} no {noun.name}", f"the {s.call(noun)[0]}"
    if s.rng.random() < 0.15 and (absent := absent_groups(s)):
        group = s.rng.choice(absent)
        none, the = f"is {group.none}", group.the
    question = s.put(phrases.SEGMENT, the=the)
    return Exchange("segment_absent", question, f"There {none} in the image.", accepted=("no", "nothing"), phrase=the)


def absent_groups(s: Situation) -> list[Group]:
    """The categories and uses that the scene has no object of."""
    return [group for group in s.lexicon.groups if s.is_absent(group)]

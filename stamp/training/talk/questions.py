"""Questions that are answered in words."""

from stamp.training.scenes.groups import Group
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.scenes import SceneObject
from stamp.training.talk import facts, phrases
from stamp.training.talk.exchange import (
    MOST_COUNTED,
    Exchange,
    a_noun,
    is_counted,
    number_words,
    quantity,
    the_noun_is,
    there_is,
    verb_of,
    with_article,
)
from stamp.training.talk.requests import absent_groups, pick_beside
from stamp.training.talk.situation import Situation


def _named(kind: str, question: str, item: SceneObject) -> Exchange:
    accepted = (item.noun.name, item.noun.plural)
    return Exchange(kind, question, f"It is {a_noun(item.noun)}.", (), accepted, ((item.mask_id,),), item.mask_id)


def ask_what(s: Situation) -> Exchange | None:
    """The name of the object at a side, or of the biggest or smallest one."""
    if s.rng.random() < 0.3:
        size = s.rng.choice(("big", "small"))
        item = facts.clear_size(s.scene, size == "big")
        return None if item is None else _named("what", s.put_about(phrases.WHAT_SIZE, size), item)
    side = s.rng.choice(facts.SIDES)
    item = facts.clear_extreme(s.scene, side)
    return None if item is None else _named("what", s.put_about(phrases.WHAT_EXTREME, side), item)


def ask_main(s: Situation) -> Exchange | None:
    """The name of the picture's main object."""
    item = facts.main_object(s.scene)
    return None if item is None else _named("what", s.put(phrases.WHAT_MAIN), item)


def ask_beside(s: Situation) -> Exchange | None:
    """The name of the object on a side of another, or next to it."""
    if (anchor := s.single()) is None:
        return None
    beside, item = pick_beside(s, anchor)
    if item is None:
        return None
    return _named("what_beside", s.put(phrases.WHAT_BESIDE, beside=beside, one=s.call(anchor.noun)[0]), item)


def ask_count(s: Situation) -> Exchange | None:
    """How many objects of a noun there are; sometimes none, sometimes for a category or for all objects."""
    groups = {noun: items for noun, items in s.counted().items() if is_counted(noun)}
    if s.rng.random() < 0.15:
        group = s.rng.choice((s.lexicon.objects[0], *s.lexicon.categories))
        items = facts.members(s.scene, group)
        return None if items is None else count_of(s, (group.name, group.plural), items)
    repeated = [noun for noun, items in groups.items() if len(items) > 1]
    if s.rng.random() < 0.15 or not groups:
        noun = s.absent_noun()
    else:
        noun = s.rng.choice(repeated if repeated and s.rng.random() < 0.6 else list(groups))
    return count_of(s, (noun.name, noun.plural), groups.get(noun, ()), s.call(noun)[1]) if is_counted(noun) else None


def count_of(s: Situation, name: tuple[str, str], items: tuple[SceneObject, ...], called: str = "") -> Exchange:
    """How many objects have a name (singular, plural). called: the plural in the question, if it differs."""
    verb = "is" if len(items) == 1 else "are"
    answer = f"There {verb} {quantity(*name, len(items))}."
    about = items[0].mask_id if len(items) == 1 else None
    question = s.put(phrases.COUNT, many=called or name[1])
    return Exchange("count", question, answer, accepted=number_words(len(items)), about=about)


def ask_exists(s: Situation) -> Exchange:
    """Yes or no, equally often; sometimes about a category."""
    present = s.rng.random() < 0.5
    if s.rng.random() < 0.15 and (exchange := _exists_group(s, present)) is not None:
        return exchange
    groups = facts.objects_by_noun(s.scene)
    noun = s.rng.choice(list(groups)) if present else s.absent_noun()
    answer = f"Yes, {there_is(noun)}." if present else f"No, there {verb_of(noun)} no {noun.name}."
    items = s.subjects().get(noun, ())
    called = s.call(noun)[0]
    asked = a_noun(noun) if called == noun.name or not is_counted(noun) else with_article(called)
    about = items[0].mask_id if len(items) == 1 else None
    accepted = ("yes",) if present else ("no",)
    return Exchange("exists", s.put(phrases.EXISTS, a=asked), answer, accepted=accepted, about=about)


def _exists_group(s: Situation, present: bool) -> Exchange | None:
    """Whether there is something of a category; a single object is named."""
    absent = absent_groups(s)
    shown: list[Group] = [group for group in s.lexicon.groups if facts.members(s.scene, group)]
    if not (choice := shown if present else absent):
        return None
    group = s.rng.choice(choice)
    question = s.put(phrases.EXISTS, a=with_article(group.name))
    if not present:
        return Exchange("exists", question, f"No, there is {group.none}.", accepted=("no",))
    items = facts.members(s.scene, group) or ()
    if len(items) > 1:
        answer = f"Yes, there are {quantity(group.name, group.plural, len(items))}."
        return Exchange("exists", question, answer, accepted=("yes",))
    item = items[0]
    accepted = ("yes", item.noun.name, item.noun.plural)
    return Exchange("exists", question, f"Yes, {there_is(item.noun)}.", (), accepted, ((item.mask_id,),), item.mask_id)


def ask_describe(s: Situation) -> Exchange:
    """Everything in the scene, from left to right."""
    groups = facts.objects_by_noun(s.scene)
    *things, last = [_some(s, noun, len(items)) for noun, items in groups.items()]
    found = tuple(tuple(item.mask_id for item in items) for items in groups.values())
    answer = f"I see {', '.join(things)} and {last}." if things else f"I see {last}."
    return Exchange("describe", s.put(phrases.DESCRIBE), answer, found=found)


def _some(s: Situation, noun: Noun, count: int) -> str:
    """ "an apple", "two apples"; "people" if there may be more."""
    if count == 1 or not is_counted(noun):
        return a_noun(noun)
    return noun.plural if noun in s.scene.unmarked or count > MOST_COUNTED else quantity(noun.name, noun.plural, count)


def ask_which(s: Situation) -> Exchange:
    """Several nouns at once, with yes or no for each: many answers in few tokens."""
    nouns = _shown_and_absent(s)
    answer = ", ".join(f"{noun.name} {'yes' if shown else 'no'}" for noun, shown in nouns.items())
    question = s.put(phrases.WHICH_OF_THESE, list=", ".join(noun.name for noun in nouns))
    return Exchange("which", question, f"{answer}.")


def ask_count_each(s: Situation) -> Exchange | None:
    """The number of each of several nouns."""
    nouns = {noun: count for noun, count in _shown_and_absent(s).items() if is_counted(noun)}
    if not nouns:
        return None
    answer = ", ".join(f"{noun.name} {count}" for noun, count in nouns.items())
    question = s.put(phrases.COUNT_EACH, list=", ".join(noun.name for noun in nouns))
    return Exchange("count_each", question, f"{answer}.")


def _shown_and_absent(s: Situation) -> dict[Noun, int]:
    """Some nouns in random order, about half of them shown, with their counts."""
    counts = {noun: len(items) for noun, items in s.counted().items()}
    for _ in range(s.rng.randint(2, 6)):
        counts[s.absent_noun()] = 0
    return dict(s.rng.sample(list(counts.items()), len(counts)))


def ask_where(s: Situation) -> Exchange | None:
    """The part of the picture that a single object is in."""
    if (item := s.single()) is None:
        return None
    question = s.put(phrases.WHERE, one=s.call(item.noun)[0])
    return where_of(s, item, question, the_noun_is(item.noun))


def where_of(s: Situation, item: SceneObject, question: str, subject: str) -> Exchange | None:
    """The sides of the picture that an object is on, or the middle; None if people could disagree.

    subject: the beginning of the answer, with its verb: "It is", "The grapes are".
    """
    sides = facts.sides_of(s.scene, item)
    if sides is None:
        return None
    places = [f"{'on' if side in ('left', 'right') else 'at'} the {side}" for side in sides]
    answer = f"{subject} {' and '.join(places) or 'in the middle'}."
    return Exchange("where", question, answer, accepted=sides or ("middle",), about=item.mask_id)


def ask_bigger(s: Situation) -> Exchange | None:
    """Which of two single objects is bigger."""
    if len(singles := s.singles()) < 2:
        return None
    first, second = s.rng.sample(singles, 2)
    if (item := facts.bigger_of(first, second)) is None:
        return None
    question = s.put(phrases.BIGGER, one=s.call(first.noun)[0], other=s.call(second.noun)[0])
    answer, found = f"{the_noun_is(item.noun)} bigger.", ((item.mask_id,),)
    return Exchange("bigger", question, answer, (), (item.noun.name,), found, item.mask_id)

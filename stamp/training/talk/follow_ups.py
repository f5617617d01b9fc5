"""Next questions that only make sense after the one before: "it", "and the apple?"."""

from stamp.training.scenes.scenes import SceneObject
from stamp.training.talk import facts, phrases
from stamp.training.talk.exchange import Exchange, is_counted, the_noun_is
from stamp.training.talk.questions import count_of, where_of
from stamp.training.talk.requests import named_mask, one_mask
from stamp.training.talk.situation import Situation


def follow_up(s: Situation, before: Exchange) -> Exchange | None:
    """A question that follows from another; None if nothing fits."""
    it = None if before.about is None else s.scene.objects[before.about - 1]
    makers = [_and_the] if it is None else [_and_the, _segment_it, _segment_it, _next_to_it, _where_is_it]
    return s.rng.choice(makers)(s, before, it)


def _and_the(s: Situation, before: Exchange, it: SceneObject | None) -> Exchange | None:
    """The same request or count for another noun."""
    if not (subjects := s.subjects()):
        return None
    noun, items = s.rng.choice(list(subjects.items()))
    one, many = s.call(noun)
    asked = s.put(phrases.AND_THE, one=one if len(items) == 1 else many)
    if before.kind.startswith("segment"):
        return one_mask("follow_and", asked, noun.name if len(items) == 1 else noun.plural, items)
    if before.kind == "count" and is_counted(noun) and noun in s.counted():
        counted = count_of(s, (noun.name, noun.plural), items)
        question = s.put(phrases.AND_THE, one=many).replace("Now the", "Now count the")
        return Exchange("follow_count", question, counted.answer, (), counted.accepted, about=counted.about)
    if before.kind == "where" and items[0] in s.singles():
        return where_of(s, items[0], asked, the_noun_is(noun))
    return None


def _segment_it(s: Situation, before: Exchange, it: SceneObject | None) -> Exchange | None:
    if it is None or before.targets:
        return None
    return one_mask("follow_it", s.put(phrases.SEGMENT_IT), it.noun.name, (it,))


def _next_to_it(s: Situation, before: Exchange, it: SceneObject | None) -> Exchange | None:
    if it is None or not before.targets or (item := facts.nearest(s.scene, it)) is None:
        return None
    return named_mask("follow_next", s.put(phrases.AND_NEXT_TO_IT), item)


def _where_is_it(s: Situation, before: Exchange, it: SceneObject | None) -> Exchange | None:
    if it is None or before.kind == "where" or it not in s.singles():
        return None
    return where_of(s, it, s.put(phrases.WHERE_IS_IT), "It is")

"""What is said about a scene: questions, answers and, for each `<|seg|>` in an answer, the objects it stands for.

Every exchange is true of its scene by construction. Masks are asked for with the phrasings of the published models
("Please segment only the X in the image.", "Where is the X ...? Please respond with segmentation mask.") and with
plainer ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from stamp.configuration_stamp import SEG_TOKEN
from stamp.training.nouns import NOUNS, Noun
from stamp.training.scenes import Scene, SceneObject

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
SIDES = ("left", "right", "top", "bottom")
#: Centres of two objects must differ by this share of the image before one is called "the leftmost".
CLEAR_MARGIN = 0.08


@dataclass(frozen=True)
class Exchange:
    """One question and its answer.

    targets: for each `<|seg|>` in the answer, the mask ids of the objects it covers together.
    accepted: words of which one makes an answer right, e.g. ("two", "2"); empty for requests for a mask.
    found: for each noun of the answer that the question does not name, the mask ids of the objects it names.
    """

    kind: str
    question: str
    answer: str
    targets: tuple[tuple[int, ...], ...] = ()
    accepted: tuple[str, ...] = ()
    found: tuple[tuple[int, ...], ...] = ()


SEGMENT_PHRASES = (
    "segment {the}",
    "Segment {the}.",
    "Please segment only {the} in the image.",
    "Can you segment {the} in the image?",
    "Where is {the} in this picture? Please respond with segmentation mask.",
    "Find {the}.",
    "Show me {the}.",
    "Mask {the}, please.",
    "Highlight {the} in the picture.",
    "Could you outline {the}?",
)
SEGMENT_PLURAL = (
    "segment {all}",
    "Segment {all} in the image.",
    "Can you segment {all}?",
    "Find {all}.",
    "Mask {all}.",
)
SIDE_PHRASES = {
    "left": ("the object on the left", "the leftmost object", "the thing on the left"),
    "right": ("the object on the right", "the rightmost object", "the thing on the right"),
    "top": ("the object at the top", "the topmost object", "the thing at the top"),
    "bottom": ("the object at the bottom", "the lowest object", "the thing at the bottom"),
}
WHAT_PHRASES = {
    "left": ("What is on the left?", "What is the leftmost object?", "What do you see on the left?"),
    "right": ("What is on the right?", "What is the rightmost object?", "What do you see on the right?"),
    "top": ("What is at the top?", "What is the topmost object?", "What do you see at the top?"),
    "bottom": ("What is at the bottom?", "What is the lowest object?", "What do you see at the bottom?"),
}
BIGGEST_PHRASES = ("What is the biggest object?", "What is the largest thing?", "Which object is the biggest?")
COUNT_PHRASES = (
    "How many {many} are there?",
    "How many {many}?",
    "How many {many} do you see?",
    "How many {many} are in the picture?",
    "Count the {many}.",
)
EXISTS_PHRASES = (
    "Is there {a}?",
    "Is there {a} in the picture?",
    "Is there {a} in the image?",
    "Do you see {a}?",
    "Can you see {a} here?",
)
DESCRIBE_PHRASES = ("What is in the picture?", "Describe the image.", "What do you see?", "Describe the picture.")
CHECKLIST_PHRASES = ("Which of these do you see: {list}?", "Which of these are there: {list}?", "Check: {list}.")
COUNT_EACH_PHRASES = ("How many of each: {list}?", "Count each: {list}.")
WHERE_PHRASES = ("Where is the {one}?", "Where is the {one} in the picture?", "On which side is the {one}?")
SMALL_TALK = (
    (("Hello", "Hi", "Hello!", "Hi there"), "Hello! Ask me about the picture, or ask me to segment something."),
    (("What can you do?", "Help", "Who are you?"), "I can talk about the picture and segment the objects in it."),
    (("Thanks", "Thank you!", "Thank you"), "You are welcome!"),
)


def with_article(noun: Noun) -> str:
    """ "an apple", "a bus", and "grapes" without one."""
    if noun.name == noun.plural and noun.name.endswith("s"):
        return noun.name
    return f"{'an' if noun.name[0] in 'aeiou' else 'a'} {noun.name}"


def quantity(noun: Noun, count: int) -> str:
    """ "two apples", "one apple", "no apples"."""
    return f"{NUMBERS[count]} {noun.name if count == 1 else noun.plural}"


def objects_by_noun(scene: Scene) -> dict[Noun, tuple[SceneObject, ...]]:
    """The scene's objects, grouped; nouns from left to right by their first object."""
    groups: dict[Noun, tuple[SceneObject, ...]] = {}
    for item in sorted(scene.objects, key=lambda item: item.box_xyxy[0] + item.box_xyxy[2]):
        groups[item.noun] = (*groups.get(item.noun, ()), item)
    return groups


def clear_extreme(scene: Scene, side: str) -> SceneObject | None:
    """The object farthest to a side by its box centre, or None when it is not clearly the one."""
    axis = 0 if side in ("left", "right") else 1
    extent_px = scene.labels.shape[1 - axis]
    sign = 1 if side in ("left", "top") else -1

    def place(item: SceneObject) -> float:
        return sign * (item.box_xyxy[axis] + item.box_xyxy[axis + 2]) / 2

    first, second, *_ = sorted(scene.objects, key=place)
    return first if place(second) - place(first) >= CLEAR_MARGIN * extent_px else None


def clear_biggest(scene: Scene) -> SceneObject | None:
    """The object with the largest visible area, or None when the next is nearly as large."""
    first, second, *_ = sorted(scene.objects, key=lambda item: -item.area_px)
    return first if first.area_px >= 1.25 * second.area_px else None


def absent_noun(scene: Scene, rng: Random) -> Noun:
    """A noun of the vocabulary that the scene does not show."""
    shown = {item.noun for item in scene.objects}
    while (noun := rng.choice(NOUNS)) in shown:
        pass
    return noun


# -- requests for masks --------------------------------------------------------------------------------------------


def _one_mask(kind: str, question: str, name: str, items: tuple[SceneObject, ...]) -> Exchange:
    answer = f"Sure, here is the segmentation mask for '{name}': {SEG_TOKEN}"
    return Exchange(kind, question, answer, (tuple(item.mask_id for item in items),))


def segment_name(scene: Scene, rng: Random) -> Exchange:
    """A noun the scene shows; several objects of that noun make one mask."""
    noun, items = rng.choice(list(objects_by_noun(scene).items()))
    if len(items) > 1 and rng.random() < 0.7:
        every = rng.choice(("all {}", "the {}", "every {}", "all the {}"))
        every = every.format(noun.name if every.startswith("every") else noun.plural)
        return _one_mask("segment", rng.choice(SEGMENT_PLURAL).format(all=every), noun.plural, items)
    question = rng.choice(SEGMENT_PHRASES).format(the=f"the {noun.name}")
    return _one_mask("segment", question, noun.name if len(items) == 1 else noun.plural, items)


def segment_side(scene: Scene, rng: Random) -> Exchange | None:
    """The leftmost, rightmost, topmost or lowest object."""
    side = rng.choice(SIDES)
    if (item := clear_extreme(scene, side)) is None:
        return None
    question = rng.choice(SEGMENT_PHRASES).format(the=rng.choice(SIDE_PHRASES[side]))
    return replace(_one_mask("segment_side", question, item.noun.name, (item,)), found=((item.mask_id,),))


def segment_two(scene: Scene, rng: Random) -> Exchange | None:
    """Two nouns, two masks, in the order of the request."""
    groups = [(noun, items) for noun, items in objects_by_noun(scene).items() if len(items) == 1]
    if len(groups) < 2:
        return None
    (first, a), (second, b) = rng.sample(groups, 2)
    question = rng.choice(SEGMENT_PHRASES[:6]).format(the=f"the {first.name} and the {second.name}")
    answer = f"Sure, here are the segmentation masks for '{first.name}': {SEG_TOKEN} and '{second.name}': {SEG_TOKEN}"
    return Exchange("segment_two", question, answer, ((a[0].mask_id,), (b[0].mask_id,)))


def segment_absent(scene: Scene, rng: Random) -> Exchange:
    """Something that is not there: the answer says so, and there is no mask."""
    noun = absent_noun(scene, rng)
    question = rng.choice(SEGMENT_PHRASES).format(the=f"the {noun.name}")
    return Exchange("segment_absent", question, f"There is no {noun.name} in the image.", accepted=("no",))


# -- questions -----------------------------------------------------------------------------------------------------


def _named(question: str, item: SceneObject) -> Exchange:
    accepted = (item.noun.name, item.noun.plural)
    return Exchange("what", question, f"It is {with_article(item.noun)}.", (), accepted, ((item.mask_id,),))


def ask_what(scene: Scene, rng: Random) -> Exchange | None:
    """The name of the object at a side, or of the biggest one."""
    if rng.random() < 0.25:
        item = clear_biggest(scene)
        return None if item is None else _named(rng.choice(BIGGEST_PHRASES), item)
    side = rng.choice(SIDES)
    item = clear_extreme(scene, side)
    return None if item is None else _named(rng.choice(WHAT_PHRASES[side]), item)


def ask_count(scene: Scene, rng: Random) -> Exchange:
    """How many of a noun; sometimes none."""
    groups = objects_by_noun(scene)
    repeated = [noun for noun, items in groups.items() if len(items) > 1]
    if rng.random() < 0.15:
        noun = absent_noun(scene, rng)
    else:
        noun = rng.choice(repeated if repeated and rng.random() < 0.6 else list(groups))
    count = len(groups.get(noun, ()))
    verb = "is" if count == 1 else "are"
    answer = f"There {verb} {quantity(noun, count)}."
    accepted = (NUMBERS[count], str(count)) + (("none",) if count == 0 else ())
    return Exchange("count", rng.choice(COUNT_PHRASES).format(many=noun.plural), answer, accepted=accepted)


def ask_exists(scene: Scene, rng: Random) -> Exchange:
    """Yes or no, half and half."""
    present = rng.random() < 0.5
    noun = rng.choice(list(objects_by_noun(scene))) if present else absent_noun(scene, rng)
    question = rng.choice(EXISTS_PHRASES).format(a=with_article(noun))
    answer = f"Yes, there is {with_article(noun)}." if present else f"No, there is no {noun.name}."
    return Exchange("exists", question, answer, accepted=("yes",) if present else ("no",))


def ask_describe(scene: Scene, rng: Random) -> Exchange:
    """Everything in the scene, from left to right."""
    groups = objects_by_noun(scene)
    things = [with_article(noun) if len(items) == 1 else quantity(noun, len(items)) for noun, items in groups.items()]
    answer = f"I see {', '.join(things[:-1])} and {things[-1]}."
    found = tuple(tuple(item.mask_id for item in items) for items in groups.values())
    return Exchange("describe", rng.choice(DESCRIBE_PHRASES), answer, found=found)


def ask_which(scene: Scene, rng: Random) -> Exchange:
    """Several nouns at once, with yes or no for each: many answers to learn from in few tokens."""
    nouns = _shown_and_absent(scene, rng)
    answer = ", ".join(f"{noun.name} {'yes' if shown else 'no'}" for noun, shown in nouns.items())
    question = rng.choice(CHECKLIST_PHRASES).format(list=", ".join(noun.name for noun in nouns))
    return Exchange("which", question, f"{answer}.")


def ask_count_each(scene: Scene, rng: Random) -> Exchange:
    """The number of each of several nouns."""
    nouns = _shown_and_absent(scene, rng)
    answer = ", ".join(f"{noun.name} {count}" for noun, count in nouns.items())
    question = rng.choice(COUNT_EACH_PHRASES).format(list=", ".join(noun.name for noun in nouns))
    return Exchange("count_each", question, f"{answer}.")


def _shown_and_absent(scene: Scene, rng: Random) -> dict[Noun, int]:
    """Some nouns in random order, about half of them shown, with how often."""
    counts = {noun: len(items) for noun, items in objects_by_noun(scene).items()}
    for _ in range(rng.randint(2, 6)):
        counts[absent_noun(scene, rng)] = 0
    return dict(rng.sample(list(counts.items()), len(counts)))


def ask_where(scene: Scene, rng: Random) -> Exchange | None:
    """On which side a single object lies."""
    for side in rng.sample(SIDES, len(SIDES)):
        item = clear_extreme(scene, side)
        if item is not None and sum(other.noun == item.noun for other in scene.objects) == 1:
            place = f"{'on' if side in ('left', 'right') else 'at'} the {side}"
            question = rng.choice(WHERE_PHRASES).format(one=item.noun.name)
            return Exchange("where", question, f"The {item.noun.name} is {place}.", accepted=(side,))
    return None


def small_talk(scene: Scene, rng: Random) -> Exchange:
    """Greetings and thanks."""
    questions, answer = rng.choice(SMALL_TALK)
    return Exchange("small_talk", rng.choice(questions), answer)


# -- drawing from all of them --------------------------------------------------------------------------------------

Maker = Callable[[Scene, Random], Exchange | None]
MASK_MAKERS: tuple[tuple[Maker, float], ...] = ((segment_name, 0.75), (segment_side, 0.13), (segment_two, 0.12))
TEXT_MAKERS: tuple[tuple[Maker, float], ...] = (
    (ask_what, 0.28),
    (ask_count, 0.2),
    (ask_exists, 0.2),
    (segment_absent, 0.15),
    (ask_describe, 0.1),
    (ask_where, 0.05),
    (small_talk, 0.02),
)
CHECKLIST_MAKERS: tuple[tuple[Maker, float], ...] = ((ask_which, 0.7), (ask_count_each, 0.3))


def draw(makers: tuple[tuple[Maker, float], ...], scene: Scene, rng: Random) -> Exchange:
    """One exchange by weight; a kind that does not fit the scene is drawn again."""
    kinds, weights = zip(*makers, strict=True)
    while True:
        exchange: Exchange | None = rng.choices(kinds, weights)[0](scene, rng)
        if exchange is not None:
            return exchange


def as_typed(question: str, rng: Random) -> str:
    """The question as people type: often in lower case, without the final mark, now and then shouted."""
    if rng.random() < 0.35:
        question = question[0].lower() + question[1:]
    if rng.random() < 0.3:
        question = question.rstrip("?.!")
    if rng.random() < 0.02:
        question = question.upper()
    return question

"""Draws the exchanges of training: which ones, how often, and in what order."""

from collections.abc import Callable
from random import Random

from stamp.training.talk import chat, questions, requests
from stamp.training.talk.exchange import Exchange
from stamp.training.talk.follow_ups import follow_up
from stamp.training.talk.situation import Situation

Maker = Callable[[Situation], Exchange | None]
Makers = tuple[tuple[Maker, float], ...]

MASK_MAKERS: Makers = (
    (requests.segment_name, 0.32),
    (requests.segment_colour, 0.02),
    (requests.segment_place, 0.16),
    (requests.segment_size, 0.12),
    (requests.segment_beside, 0.14),
    (requests.segment_group, 0.11),
    (requests.segment_several, 0.11),
    (requests.segment_everything, 0.02),
)
#: Other weights for some of them, so that more requests compare things: by place, size and neighbour.
COMPARING: dict[Maker, float] = {
    requests.segment_name: 0.24,
    requests.segment_place: 0.18,
    requests.segment_size: 0.18,
    requests.segment_beside: 0.15,
    requests.segment_several: 0.1,
}
COMPARING_MAKERS: Makers = tuple((maker, COMPARING.get(maker, weight)) for maker, weight in MASK_MAKERS)
TEXT_MAKERS: Makers = (
    (questions.ask_what, 0.18),
    (questions.ask_main, 0.06),
    (questions.ask_count, 0.24),
    (questions.ask_exists, 0.18),
    (requests.segment_absent, 0.45),
    (questions.ask_beside, 0.1),
    (questions.ask_describe, 0.06),
    (questions.ask_where, 0.14),
    (questions.ask_bigger, 0.06),
    (chat.ask_unknown, 0.16),
    (chat.small_talk, 0.02),
)
CHECKLIST_MAKERS: Makers = ((questions.ask_which, 0.7), (questions.ask_count_each, 0.3))
#: Optional openings and endings of questions.
OPENERS = ("Hey, ", "Hi, ", "OK, ", "So, ", "Now, ", "Well, ", "Tell me: ", "Look at the picture: ")
CLOSERS = (", please", ", thanks", ", would you")
#: Share of exchanges that follow from the one before, if possible.
FOLLOW_UP_SHARE = 0.2


def more_often(kind: Maker, times: float, makers: Makers) -> Makers:
    """The makers with another weight for one of them."""
    return tuple((maker, weight * times if maker is kind else weight) for maker, weight in makers)


def draw(makers: Makers, s: Situation) -> Exchange:
    """One exchange, drawn by weight; if a kind does not fit the scene, another is drawn."""
    kinds, weights = zip(*makers, strict=True)
    while True:
        exchange: Exchange | None = s.rng.choices(kinds, weights)[0](s)
        if exchange is not None:
            return exchange


def draw_after(before: Exchange | None, makers: Makers, s: Situation) -> Exchange:
    """One exchange, sometimes one that follows from the exchange before."""
    if before is not None and s.rng.random() < FOLLOW_UP_SHARE:
        exchange = follow_up(s, before)
        if exchange is not None:
            return exchange
    return draw(makers, s)


def as_typed(question: str, rng: Random) -> str:
    """The question as people type: often in lower case, without final mark, with an opening or ending, or shouted."""
    if rng.random() < 0.08:
        question = rng.choice(OPENERS) + question[0].lower() + question[1:]
    if rng.random() < 0.05 and question[-1] in "?.":
        question = question[:-1] + rng.choice(CLOSERS) + question[-1]
    if rng.random() < 0.35:
        question = question[0].lower() + question[1:]
    if rng.random() < 0.3:
        question = question.rstrip("?.!")
    if rng.random() < 0.02:
        question = question.upper()
    return question

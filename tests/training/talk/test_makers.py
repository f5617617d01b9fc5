"""Which exchanges are drawn, how often, and how they are typed."""

from collections import Counter
from random import Random

import pytest

from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.data import BatchMaker, BatchPlan
from stamp.training.scenes.art import ArtLibrary
from stamp.training.talk import makers
from stamp.training.talk.exchange import Exchange
from stamp.training.talk.makers import CLOSERS, OPENERS, as_typed, draw, draw_after, more_often
from stamp.training.talk.situation import Situation
from tests.training.conftest import LEXICON, STYLES
from tests.training.talk.scenes import SCENE

BEFORE, NEXT = Exchange("before", "q", "a"), Exchange("next", "q", "a")
OFTEN, SELDOM = Exchange("often", "q", "a"), Exchange("seldom", "q", "a")
#: The third fits no scene.
MAKERS = ((lambda _: OFTEN, 0.6), (lambda _: SELDOM, 0.2), (lambda _: None, 0.2))


@pytest.fixture
def situation() -> Situation:
    return Situation(SCENE, Random(0), LEXICON)


def test_kinds_are_drawn_by_weight_and_again_if_they_do_not_fit(situation: Situation) -> None:
    drawn = Counter(draw(MAKERS, situation).kind for _ in range(2000))
    assert set(drawn) == {"often", "seldom"}
    assert drawn["often"] / 2000 == pytest.approx(0.75, abs=0.04)


def test_one_kind_can_come_more_often() -> None:
    often, *others = MAKERS
    assert more_often(often[0], 3, MAKERS) == ((often[0], pytest.approx(1.8)), *others)


def test_a_fifth_of_the_exchanges_goes_on_from_the_one_before(
    situation: Situation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(makers, "follow_up", lambda _, before: NEXT if before is BEFORE else None)
    after = Counter(draw_after(BEFORE, MAKERS, situation).kind for _ in range(2000))
    assert after["next"] / 2000 == pytest.approx(0.2, abs=0.035)
    for before in (None, OFTEN):  # nothing before, and nothing that one could go on from
        assert "next" not in {draw_after(before, MAKERS, situation).kind for _ in range(200)}


def test_training_hears_follow_ups_and_no_phrasing_that_is_held_out(
    library: ArtLibrary, processor: StampProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: Counter[str] = Counter()
    held_out_phrases: set[bool] = set()
    whole = BatchMaker._row

    def row(self: BatchMaker, exchanges: list[Exchange], *rest: object) -> object:
        kinds.update(exchange.kind for exchange in exchanges)
        return whole(self, exchanges, *rest)  # type: ignore[arg-type]

    def put(self: Situation, phrases: tuple[str, ...], **slots: str) -> str:
        held_out_phrases.add(self.held_out_phrases)
        return phrases[0].format_map(slots)

    monkeypatch.setattr(BatchMaker, "_row", row)
    monkeypatch.setattr(Situation, "put", put)
    maker = BatchMaker(BatchPlan(6, 8, 1, 1, 8, 0, STYLES, requests=0.5), processor, library, 3, pictures=False)
    for step in range(3):
        maker[step]
    follow_ups = sum(count for kind, count in kinds.items() if kind.startswith("follow"))
    assert follow_ups >= 10
    assert follow_ups < 0.3 * kinds.total()
    assert held_out_phrases == {False}


def test_questions_are_typed_as_people_type() -> None:
    """Each habit as often as it is stated, read off many typings of one question."""
    question = "Is there a bee?"
    rng = Random(0)
    typed = [as_typed(question, rng) for _ in range(6000)]
    assert {text.lower().strip("?.") for text in typed} <= {
        f"{opener}is there a bee{closer}".lower() for opener in ("", *OPENERS) for closer in ("", *CLOSERS)
    }
    shares = {
        "led in": (0.08, sum(not text.lower().startswith("is") for text in typed)),
        "led out": (0.05, sum(any(text.lower().rstrip("?").endswith(one) for one in CLOSERS) for text in typed)),
        "no mark": (0.3, sum(not text.endswith("?") for text in typed)),
        "shouted": (0.02, sum(text.isupper() for text in typed)),
        "small": (0.92 * 0.35 * 0.98, sum(text.startswith("is") for text in typed)),
    }
    for habit, (share, count) in shares.items():
        assert count / 6000 == pytest.approx(share, abs=0.02 if share > 0.1 else 0.01), habit

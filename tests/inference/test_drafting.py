"""Tokens fed ahead on a guess: whatever is guessed, the answer is the one that is written token by token."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp import Done, EncodedImage, Segmentation, StampPredictor, TextDelta, Turn
from stamp.conversation import StreamEvent
from stamp.inference.conversation_cache import ConversationCache
from stamp.inference.drafting import MOST_GUESSED_TOKENS, TYPICAL_ANSWERS, Drafter
from stamp.inference.generation import TextState

PARITY = Path(__file__).parents[1] / "parity"
EXAMPLES = sorted((Path(__file__).parents[2] / "assets" / "examples").glob("*.webp"))
CAMEL = EXAMPLES[0].with_name("camel.webp")
#: An answer of the tiny official checkpoint, whose own answers never have a mask: ids of words, 494 is <|seg|>.
SCRIPT = (5, 6, 494, 7, 5, 6, 494, 8, 9)
SEG, END = 494, 482
TOKENS = st.sampled_from([*dict.fromkeys(SCRIPT), 10])


@pytest.fixture(scope="module")
def stamp() -> StampPredictor:
    loaded = StampPredictor.from_pretrained(PARITY / "models" / "tied", device="cpu", dtype="float32")
    assert (loaded.processor.seg_token_id, loaded.processor.end_token_id) == (SEG, END)
    return loaded


@pytest.fixture(scope="module")
def image(stamp: StampPredictor) -> EncodedImage:
    return stamp.encode_image(PARITY / "images" / "land_200x120.png")


# -- guesses -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drafter(nano: StampPredictor) -> Drafter:
    assert nano.drafter is not None
    return nano.drafter


@pytest.fixture(scope="module")
def nano() -> StampPredictor:
    return StampPredictor.from_pretrained(device="cpu", dtype="float32")


def asked(nano: StampPredictor, answer: str, *earlier: str) -> tuple[int, ...]:
    """The tokens of a conversation up to the middle of its last answer."""
    turns = [turn for text in earlier for turn in (Turn("user", "Hi"), Turn("assistant", text))]
    prompt = nano.processor.encode_conversation([*turns, Turn("user", "Hi")], [])
    return (*prompt.input_ids, *nano.processor.encode_response(answer))


def test_an_answer_is_guessed_to_begin_and_end_as_a_typical_one(nano: StampPredictor, drafter: Drafter) -> None:
    first = drafter.guess(asked(nano, ""))
    assert first == tuple(nano.processor.encode_response(TYPICAL_ANSWERS[0]))[:MOST_GUESSED_TOKENS]
    last = drafter.guess(asked(nano, "Sure, here is the segmentation mask for the giraffe:"))
    end = (*nano.processor.encode_response(" <|seg|>"), nano.processor.end_token_id)
    assert last[: len(end)] == end


def test_an_answer_is_guessed_to_go_on_as_an_earlier_one_of_the_conversation(
    nano: StampPredictor, drafter: Drafter
) -> None:
    zebra = tuple(nano.processor.encode_response(" zebra is at the top"))
    assert drafter.guess(asked(nano, "One tall", "One tall zebra is at the top"))[: len(zebra)] == zebra
    assert drafter.guess(asked(nano, "One tall")) == ()


# -- feeding ahead -------------------------------------------------------------------------------------------------


@torch.inference_mode()
@settings(deadline=None, max_examples=30)
@given(steps=st.lists(st.tuples(TOKENS, st.lists(TOKENS, max_size=4)), min_size=1, max_size=8))
def test_logits_and_cache_are_those_of_the_pushed_tokens(
    stamp: StampPredictor, image: EncodedImage, steps: list[tuple[int, list[int]]]
) -> None:
    """Oracle: one pass over the prompt and the pushed tokens, without a cache."""
    prompt = stamp.processor.encode_conversation([Turn("user", "Hi", image)], [len(image.embeds)]).input_ids
    state = TextState(stamp.model, stamp.clock())
    state.prefill(torch.tensor([prompt]), image.embeds, image.grid_thw)
    for number, (token, ahead) in enumerate(steps, start=1):
        state.push(token)
        logits = state.next_logits(lambda ahead=ahead: ahead)  # type: ignore[misc]
        fresh = TextState(stamp.model, stamp.clock())
        pushed = [token for token, _ in steps[:number]]
        fresh.prefill(torch.tensor([[*prompt, *pushed]]), image.embeds, image.grid_thw)
        torch.testing.assert_close(logits, fresh.next_logits(), atol=1e-4, rtol=0)
    state.rollback()
    assert state.cache.get_seq_length() == len(prompt) + len(steps)
    for ours, theirs in zip(state.cache.layers, fresh.cache.layers, strict=True):
        torch.testing.assert_close(ours.keys, theirs.keys, atol=1e-4, rtol=0)  # type: ignore[union-attr]
    assert [index for index, *_ in state.seg_slots] == [len(prompt) + n for n, (t, _) in enumerate(steps) if t == SEG]


# -- whole answers -------------------------------------------------------------------------------------------------


class Guesses(Drafter):
    """Its n-th guess is the n-th of `given`; then it has none."""

    def __init__(self, given: Sequence[Sequence[int]]):
        self.given: Iterator[Sequence[int]] = iter(given)

    def guess(self, ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(next(self.given, ()))


def scripted(
    stamp: StampPredictor, image: EncodedImage, guesses: Sequence[Sequence[int]], stop: int, budget: int
) -> list[StreamEvent]:
    """The events of the scripted answer, stopped before its token number `stop`."""
    script, asked = iter([*SCRIPT, END]), iter(range(1000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stamp.inference.generation.choose_token", lambda *_, **__: next(script))
        patch.setattr("stamp.predictor.Drafter", lambda _: Guesses(guesses))
        drafted = StampPredictor(stamp.model, stamp.processor, conversation_cache=ConversationCache(0))
        turns = [Turn("user", "Segment the boat.", image)]
        return list(drafted.stream(turns, budget, should_stop=lambda: next(asked) == stop))


def end_of(events: Sequence[StreamEvent]) -> Segmentation:
    done = events[-1]
    assert isinstance(done, Done)
    return done.segmentation


@settings(deadline=None, max_examples=40)
@given(
    guesses=st.lists(st.one_of(st.lists(TOKENS, max_size=5), st.integers(0, len(SCRIPT))), max_size=len(SCRIPT)),
    stop=st.integers(0, len(SCRIPT) + 1),
    budget=st.integers(1, len(SCRIPT) + 1),
)
def test_streamed_stopped_and_cut_answers_are_those_without_guesses(
    stamp: StampPredictor, image: EncodedImage, guesses: list[list[int] | int], stop: int, budget: int
) -> None:
    """A number n among the guesses stands for the answer from its n-th token on: right at the right moment only."""
    given_ids = [SCRIPT[guess:] if isinstance(guess, int) else guess for guess in guesses]
    drafted, plain = (scripted(stamp, image, ids, stop, budget) for ids in (given_ids, []))
    a, b = end_of(drafted), end_of(plain)
    assert (a.token_ids, a.response, a.finish_reason) == (b.token_ids, b.response, b.finish_reason)
    assert [type(event) for event in drafted] == [type(event) for event in plain]
    assert [event.text for event in drafted if isinstance(event, TextDelta)] == [
        event.text for event in plain if isinstance(event, TextDelta)
    ]
    assert len(a.mask_logits) == len(b.mask_logits)
    for x, y in zip(a.mask_logits, b.mask_logits, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-4)


def test_right_guesses_save_passes_and_wrong_ones_cost_none(stamp: StampPredictor, image: EncodedImage) -> None:
    everything, nothing = 100, len(SCRIPT)
    plain = end_of(scripted(stamp, image, [], everything, everything)).forward_passes
    assert plain == 1 + nothing + 2  # prefill, a pass a token, two masks that stream in one after the other
    wrong = end_of(scripted(stamp, image, [[10, 10]] * nothing, everything, everything))
    assert wrong.forward_passes == plain
    right = end_of(scripted(stamp, image, [SCRIPT[1:]], everything, everything))
    assert right.forward_passes == 1 + 1 + 2


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_answers_of_the_nano_do_not_depend_on_guesses(nano: StampPredictor, temperature: float) -> None:
    """Real answers, real guesses; greedy and drawn."""
    results: dict[bool, list[Segmentation]] = {}
    for drafting in (True, False):
        predictor = StampPredictor(nano.model, nano.processor, drafts=drafting)
        results[drafting] = [
            predictor.segment(path, prompt, 40, temperature=temperature, seed=seed)
            for path in EXAMPLES[:3]
            for seed, prompt in enumerate(("segment the crab", "segment the cookie", "What is on the left?"))
        ]
    for a, b in zip(results[True], results[False], strict=True):
        assert (a.token_ids, a.finish_reason) == (b.token_ids, b.finish_reason)
        for x, y in zip(a.mask_logits, b.mask_logits, strict=True):
            np.testing.assert_allclose(x, y, atol=1e-4)
    passes = {drafting: sum(result.forward_passes for result in found) for drafting, found in results.items()}
    assert passes[True] < passes[False] * (0.7 if temperature == 0 else 1)


def test_the_same_request_gives_the_same_answer_to_the_last_bit() -> None:
    """In bfloat16 too, where a pass over more tokens rounds differently: guesses do not depend on earlier answers."""
    stamp = StampPredictor.from_pretrained(device="cpu", dtype="bfloat16")
    first, _, again = (stamp.segment(CAMEL, f"segment the {noun}") for noun in ("camel", "lemon", "camel"))
    assert first.mask_logits
    assert first.forward_passes == again.forward_passes
    for x, y in zip(first.mask_logits, again.mask_logits, strict=True):
        assert np.array_equal(x, y)

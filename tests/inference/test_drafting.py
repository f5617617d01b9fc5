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
from stamp.inference.drafting import CONTEXT_TOKENS, GUESS_TOKENS, DraftBook
from stamp.inference.generation import TextState

PARITY = Path(__file__).parents[1] / "parity"
EXAMPLES = sorted((Path(__file__).parents[2] / "assets" / "examples").glob("*.webp"))
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


# -- the book ------------------------------------------------------------------------------------------------------


def test_the_longest_known_run_says_what_follows() -> None:
    book = DraftBook()
    assert book.guess((1, 2, 3)) == ()
    book.remember((1, 2, 3, 4, 5))
    book.remember((9, 3, 6))
    assert book.guess((1, 2, 3)) == (4, 5)
    assert book.guess((8, 2, 3)) == (4, 5)
    assert book.guess((8, 8, 3)) == (6,)  # seen last
    assert book.guess((3, 4, 5)) == ()  # nothing followed
    assert book.guess(()) == ()


def test_guesses_are_bounded_and_so_is_the_book() -> None:
    whole, small = DraftBook(), DraftBook(max_runs=10)
    for book in (whole, small):
        book.remember(range(100))
    assert whole.guess((0,)) == tuple(range(1, 1 + GUESS_TOKENS))
    assert max(map(len, whole._followers)) == CONTEXT_TOKENS
    assert small.guess((96, 97, 98)) == (99,)
    assert small.guess((1, 2, 3)) == ()
    assert len(small._followers) == 10


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
    state.take_back()
    assert state.cache.get_seq_length() == len(prompt) + len(steps)
    for ours, theirs in zip(state.cache.layers, fresh.cache.layers, strict=True):
        torch.testing.assert_close(ours.keys, theirs.keys, atol=1e-4, rtol=0)  # type: ignore[union-attr]
    assert [index for index, *_ in state.seg_slots] == [len(prompt) + n for n, (t, _) in enumerate(steps) if t == SEG]


# -- whole answers -------------------------------------------------------------------------------------------------


class Guesses(DraftBook):
    """Its n-th guess is the n-th of `given`; then it has none."""

    def __init__(self, given: Sequence[Sequence[int]]):
        super().__init__()
        self.given: Iterator[Sequence[int]] = iter(given)

    def guess(self, ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(next(self.given, ()))


def scripted(
    stamp: StampPredictor, image: EncodedImage, guesses: Sequence[Sequence[int]], stop: int, budget: int
) -> list[StreamEvent]:
    """The events of the scripted answer, stopped before its token number `stop`."""
    script, asked = iter([*SCRIPT, END]), iter(range(1000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stamp.inference.answer.choose_token", lambda *_: next(script))
        patch.setattr(stamp, "drafts", Guesses(guesses))
        patch.setattr(stamp, "conversation_cache", ConversationCache(0))
        turns = [Turn("user", "Segment the boat.", image)]
        return list(stamp.stream(turns, budget, should_stop=lambda: next(asked) == stop))


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
        np.testing.assert_allclose(x, y, atol=2e-5)


def test_right_guesses_save_passes_and_wrong_ones_cost_none(stamp: StampPredictor, image: EncodedImage) -> None:
    everything, nothing = 100, len(SCRIPT)
    plain = end_of(scripted(stamp, image, [], everything, everything)).forward_passes
    assert plain == 1 + nothing + 2  # prefill, a pass a token, two masks that stream in one after the other
    wrong = end_of(scripted(stamp, image, [[10, 10]] * nothing, everything, everything))
    assert wrong.forward_passes == plain
    right = end_of(scripted(stamp, image, [SCRIPT[1:]], everything, everything))
    assert right.forward_passes == 1 + 1 + 2


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_answers_of_the_nano_do_not_depend_on_earlier_ones(temperature: float) -> None:
    """Real answers, real guesses from all before; greedy and drawn, in a conversation and on their own."""
    drafting, plain = (StampPredictor.from_pretrained(device="cpu", dtype="float32") for _ in range(2))
    plain.drafts = None
    passes = {drafting: 0, plain: 0}
    for path in EXAMPLES[:3]:
        for seed, prompt in enumerate(("segment the crab", "segment the cookie", "What is on the left?")):
            results = []
            for stamp in (drafting, plain):
                results.append(stamp.segment(path, prompt, 40, temperature=temperature, seed=seed))
                passes[stamp] += results[-1].forward_passes
            a, b = results
            assert (a.token_ids, a.finish_reason) == (b.token_ids, b.finish_reason)
            for x, y in zip(a.mask_logits, b.mask_logits, strict=True):
                np.testing.assert_allclose(x, y, atol=1e-4)
    assert passes[drafting] < passes[plain]


def test_without_guesses_a_repeated_request_gets_the_same_mask_in_few_bits() -> None:
    """With them, how many tokens share a pass depends on what was answered before, and so does the rounding."""
    stamp = StampPredictor.from_pretrained(PARITY / "models" / "tied", device="cpu", dtype="bfloat16")
    stamp.drafts = None
    turns = [Turn("user", "Segment the boat.", PARITY / "images" / "land_200x120.png")]
    answers = []
    for _ in range(2):
        script = iter([*SCRIPT, END])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("stamp.inference.answer.choose_token", lambda *_, script=script: next(script))
            patch.setattr(stamp, "conversation_cache", ConversationCache(0))
            answers.append(end_of(list(stamp.stream(turns, 20))))
    assert len(answers[0].mask_logits) > 0
    assert all(np.array_equal(a, b) for a, b in zip(*(one.mask_logits for one in answers), strict=True))

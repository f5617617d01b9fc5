"""Decoding at fixed addresses gives the tokens, masks and caches of usual passes. Without a GPU nothing is captured:
here the passes that would be run as they are.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stamp import EncodedImage, StampPredictor, Turn
from stamp.checkpoints.load_options import LoadOptions
from stamp.errors import CheckpointError
from stamp.inference.captured_steps import WIDTH, CapturedSteps, capture_steps
from stamp.inference.conversation_cache import ConversationCache
from stamp.inference.generation import TextState

PARITY = Path(__file__).parents[1] / "parity"
EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
TOKENS = st.integers(0, 200)


@pytest.fixture(scope="module")
def stamp() -> StampPredictor:
    return StampPredictor.from_pretrained(PARITY / "models" / "tied", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def image(stamp: StampPredictor) -> EncodedImage:
    return stamp.encode_image(PARITY / "images" / "sq_112.png")


@pytest.fixture(scope="module")
def captured(stamp: StampPredictor) -> CapturedSteps:
    """One for all tests, as for all answers of a model."""
    return CapturedSteps(stamp.model, capacity=160, capture=False)


def prompt_of(stamp: StampPredictor, image: EncodedImage, text: str = "Hi") -> list[int]:
    turns = [Turn("user", text, image)]
    return list(stamp.processor.encode_conversation(turns, [len(image.embeds)]).input_ids)


def started(
    stamp: StampPredictor, image: EncodedImage, ids: list[int], captured: CapturedSteps | None = None
) -> TextState:
    state = TextState(stamp.model, stamp.clock(), captured=captured)
    state.prefill(torch.tensor([ids]), image.embeds, image.grid_thw)
    return state


def assert_same_cache(ours: TextState, theirs: TextState) -> None:
    assert ours.cache.get_seq_length() == theirs.cache.get_seq_length()
    for own, other in zip(ours.cache.layers, theirs.cache.layers, strict=True):
        torch.testing.assert_close(own.keys, other.keys, atol=1e-4, rtol=0)  # type: ignore[union-attr]
        torch.testing.assert_close(own.values, other.values, atol=1e-4, rtol=0)  # type: ignore[union-attr]


@torch.inference_mode()
@settings(deadline=None, max_examples=30)
@given(
    steps=st.lists(st.tuples(st.integers(0, 1), TOKENS, st.lists(TOKENS, max_size=WIDTH + 1)), min_size=1, max_size=10)
)
def test_two_conversations_in_turn_are_as_with_usual_passes(
    stamp: StampPredictor, image: EncodedImage, captured: CapturedSteps, steps: list[tuple[int, int, list[int]]]
) -> None:
    """Right and wrong guesses, more of them than a pass reads, and answers that outgrow the buffers or share them."""
    prompts = [prompt_of(stamp, image), prompt_of(stamp, image, "Segment the boat")]
    ours, theirs = ([started(stamp, image, ids, way) for ids in prompts] for way in (captured, None))
    for which, token, ahead in steps:
        for state in (ours[which], theirs[which]):
            state.push(token)
        found, expected = (
            state.next_logits(lambda ahead=ahead: ahead)  # type: ignore[misc]
            for state in (ours[which], theirs[which])
        )
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    for own, other in zip(ours, theirs, strict=True):
        assert_same_cache(own, other)


@torch.inference_mode()
def test_passes_that_fit_take_no_usual_pass(
    stamp: StampPredictor, image: EncodedImage, captured: CapturedSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = started(stamp, image, prompt_of(stamp, image), captured)
    usual: list[int] = []
    run = TextState._usual_pass

    def counted(*given: Any) -> Tensor:
        usual.append(1)
        return run(*given)

    monkeypatch.setattr(TextState, "_usual_pass", counted)
    for token in (5, 6, 7):
        state.push(token)
        state.next_logits()
    assert not usual
    state.push(8)
    state.flush(range(WIDTH))
    assert usual


@torch.inference_mode()
def test_what_a_usual_pass_has_changed_is_mirrored_again(
    stamp: StampPredictor, image: EncodedImage, captured: CapturedSteps
) -> None:
    """A follow-up question crops the cache and reads on; the buffers held as many tokens, but others."""
    ids = prompt_of(stamp, image)
    first = started(stamp, image, ids, captured)
    for token in (5, 6, 7, 8, 9, 10):
        first.push(token)
        first.next_logits()
    first.cache.crop(len(ids) - first.cache.get_seq_length())
    again = [*ids, 50, 51, 52, 53]
    second = TextState(stamp.model, stamp.clock(), first.cache, captured)
    second.prefill(torch.tensor([again]), image.embeds, image.grid_thw)
    expected = started(stamp, image, again)
    for state in (second, expected):
        state.push(54)
    torch.testing.assert_close(second.next_logits(), expected.next_logits(), atol=1e-4, rtol=0)
    assert_same_cache(second, expected)


def test_answers_of_the_nano_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words, masks and a follow-up question on the same cache."""
    usual = StampPredictor.from_pretrained(device="cpu", dtype="float32")
    steps = CapturedSteps(usual.model, capture=False)
    ours = StampPredictor(usual.model, usual.processor, captured=steps)
    calls: list[int] = []
    run = CapturedSteps._mirror

    def counted(*given: Any) -> None:
        calls.append(1)
        run(*given)

    monkeypatch.setattr(CapturedSteps, "_mirror", counted)
    picture = EXAMPLES / "camel.webp"
    turns = [Turn("user", "What do you see?", picture)]
    for question in ("Segment everything", "Describe the image", "Where is it?"):
        turns = [*turns, Turn("assistant", "A picture."), Turn("user", question)]
        expected, found = (
            list(one.stream(turns, cache=ConversationCache()))[-1].segmentation  # type: ignore[union-attr]
            for one in (usual, ours)
        )
        assert found.response == expected.response
        np.testing.assert_array_equal(found.masks, expected.masks)
    assert calls
    assert ours.versions()["decoding"] == "captured"


@pytest.mark.parametrize("wrong", [float("nan"), 1.0])
def test_a_device_that_computes_something_else_is_refused(
    stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    right = CapturedSteps._forward
    monkeypatch.setattr(CapturedSteps, "_forward", lambda steps: right(steps).roll(1, 1) * wrong)
    with pytest.raises(CheckpointError, match="compute other logits"):
        CapturedSteps(stamp.model, capture=False)


def test_a_device_that_cannot_capture_is_a_sentence(stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: CapturedSteps) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(CapturedSteps, "_capture", refuse)
    with pytest.raises(CheckpointError, match="cannot capture decoding passes: leave --decoding captured out"):
        CapturedSteps(stamp.model)


@pytest.mark.parametrize(
    ("decoding", "said"), [("captured", "needs an NVIDIA GPU, and the model is on cpu"), ("fast", "eager or captured")]
)
def test_what_cannot_be_had_is_refused_before_anything_is_loaded(decoding: str, said: str) -> None:
    options = LoadOptions(PARITY / "nowhere", device="cpu", decoding=decoding)
    with pytest.raises(CheckpointError, match=said):
        StampPredictor.load(options)
    with pytest.raises(CheckpointError, match="nowhere"):
        StampPredictor.load(replace(options, decoding="eager"))


def test_quantized_weights_are_refused(stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stamp.inference.captured_steps.check_decoding", lambda *_: None)
    with pytest.raises(CheckpointError, match="not for weights in nf4"):
        capture_steps(stamp.model, "captured", "nf4")
    assert capture_steps(stamp.model, "eager", "nf4") is None

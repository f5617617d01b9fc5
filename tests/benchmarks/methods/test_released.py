"""The released algorithm gives our outputs, and does exactly the extra work that is claimed of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.methods import released
from benchmarks.methods.released import MASK_PARTS, segment_released
from benchmarks.methods.teacher_forcing import segment_forced
from stamp import ImageError, PromptError, StampPredictor
from stamp.checkpoints.load_options import LoadOptions
from stamp.conversation import Segmentation
from stamp.inference.generation import PhaseClock, TextState

PARITY = Path(__file__).parents[2] / "parity"
PICTURE = PARITY / "images" / "land_200x120.png"
PROMPT = "Segment the boat."
ANSWERS = {0: "There is none.", 1: "Sure, here <|seg|>.", 3: "One <|seg|>, two <|seg|> and three <|seg|>"}
Method = Callable[..., Segmentation]


@pytest.fixture(scope="module", params=["nano", "tied"])
def stamp(request: pytest.FixtureRequest) -> StampPredictor:
    model = PARITY / "models" / "tied" if request.param == "tied" else None
    options = LoadOptions(model, device="cpu", dtype="float32", drafts=False)  # a pass a token: passes are counted here
    return StampPredictor.load(options)


def assert_same(result: Segmentation, expected: Segmentation) -> None:
    assert (result.text, result.response, result.token_ids) == (expected.text, expected.response, expected.token_ids)
    assert len(result.mask_logits) == len(expected.mask_logits)
    for ours, theirs in zip(result.mask_logits, expected.mask_logits, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert result.masks.shape == expected.masks.shape
    assert np.mean(result.masks != expected.masks) < 1e-4 if len(result.masks) else True
    assert [score is None for score in result.scores] == [score is None for score in expected.scores]


@pytest.mark.parametrize("n_masks", [0, 1, 3])
@pytest.mark.parametrize("method", [segment_forced, segment_released])
def test_outputs_are_those_of_the_predictor(stamp: StampPredictor, method: Method, n_masks: int) -> None:
    expected = stamp.predict_masks(PICTURE, PROMPT, ANSWERS[n_masks])
    result = method(stamp, PICTURE, PROMPT, 256, ANSWERS[n_masks])
    assert_same(result, expected)
    assert result.finish_reason == "end"
    assert len(result.masks) == n_masks


@pytest.mark.parametrize("method", [segment_forced, segment_released])
def test_without_a_given_answer_it_generates(stamp: StampPredictor, method: Method) -> None:
    expected = stamp.segment(PICTURE, PROMPT, 12)
    result = method(stamp, PICTURE, PROMPT, 12)
    assert_same(result, expected)
    assert result.finish_reason == expected.finish_reason


@pytest.mark.parametrize("method", [segment_forced, segment_released])
def test_an_answer_cut_on_seg_has_the_right_mask(stamp: StampPredictor, method: Method) -> None:
    ids = stamp.processor.encode_response("It is <|seg|>")
    result = method(stamp, PICTURE, PROMPT, len(ids), [*ids, 0, 0])
    assert result.finish_reason == "length"
    assert_same(result, stamp.predict_masks(PICTURE, PROMPT, "It is <|seg|>"))


@dataclass
class Work:
    """What one call did. embedded: token counts of each embedding; masks: masks of each mask pass."""

    vision: int = 0
    cache_copies: list[int] = field(default_factory=list)
    embedded: list[int] = field(default_factory=list)
    masks: list[int] = field(default_factory=list)
    preprocessed: int = 0
    tokenised: int = 0


@pytest.fixture
def work(stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()

    def count(owner: Any, name: str, note: Callable[..., None]) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            note(*args)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)

    def add(name: str) -> Callable[..., None]:
        return lambda *_: setattr(work, name, getattr(work, name) + 1)

    count(stamp.model, "encode_images", add("vision"))
    count(stamp.processor, "encode_image", add("preprocessed"))
    count(stamp.processor, "encode_conversation", add("tokenised"))
    count(released, "copy_cache", lambda _model, _cache, length: work.cache_copies.append(length))
    count(stamp.model, "embed_prompt", lambda ids, _embeds: work.embedded.append(ids.shape[1]))
    count(stamp.model, "mask_pass", lambda _cache, seg_slots, *_: work.masks.append(len(seg_slots)))
    return work


@pytest.mark.parametrize("n_masks", [0, 1, 3])
def test_the_extra_work_is_exactly_what_is_claimed(stamp: StampPredictor, work: Work, n_masks: int) -> None:
    ids = stamp.processor.encode_response(ANSWERS[n_masks])
    segs = [n for n, token_id in enumerate(ids) if token_id == stamp.processor.seg_token_id]
    result = segment_released(stamp, PICTURE, PROMPT, 256, ANSWERS[n_masks])
    prompt, decode = work.embedded[0], [1] * len(ids)
    assert work.vision == 1 + n_masks
    assert work.cache_copies == [prompt + seg + 1 for seg in segs]
    assert work.embedded == [prompt, *decode, *[prompt + len(ids)] * n_masks]
    assert work.masks == [1] * n_masks
    assert result.forward_passes == 1 + len(ids) + n_masks
    assert (work.preprocessed, work.tokenised) == (1, 1)


@pytest.mark.parametrize("n_masks", [0, 1, 3])
def test_our_work(stamp: StampPredictor, work: Work, n_masks: int) -> None:
    ids = stamp.processor.encode_response(ANSWERS[n_masks])
    result = segment_forced(stamp, PICTURE, PROMPT, 256, ANSWERS[n_masks])
    assert work.vision == 1
    assert work.cache_copies == []
    assert work.embedded[1:] == [1] * len(ids)
    assert work.masks == ([n_masks] if n_masks else [])
    assert result.forward_passes == 1 + len(ids) + (n_masks > 0)
    assert (work.preprocessed, work.tokenised) == (1, 1)


def test_timings_name_the_parts_of_the_mask_phase(stamp: StampPredictor) -> None:
    timings = segment_released(stamp, PICTURE, PROMPT, 256, ANSWERS[3]).timings_s
    assert set(timings) == {"vision", "prefill", "decode", "mask", "refine", "total", *MASK_PARTS}
    assert timings["mask"] == pytest.approx(sum(timings[part] for part in MASK_PARTS))
    assert all(timings[part] > 0 for part in MASK_PARTS)


@torch.inference_mode()
def test_a_copied_cache_is_its_own(stamp: StampPredictor) -> None:
    state = TextState(stamp.model, PhaseClock(stamp.device))
    state.prefill(torch.tensor([[1, 2, 3, 4, 5]]), None, None)
    copy = released.copy_cache(stamp.model, state.cache, 3)
    assert copy.get_seq_length() == 3
    for ours, theirs in zip(copy.layers, state.cache.layers, strict=True):
        for name in ("keys", "values"):
            mine, original = getattr(ours, name), getattr(theirs, name)
            assert torch.equal(mine, original[:, :, :3])
            assert mine.untyped_storage().data_ptr() != original.untyped_storage().data_ptr()
    assert state.cache.get_seq_length() == 5


def test_bad_input_is_refused_as_by_the_predictor(stamp: StampPredictor, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="Type a request first"):
        segment_released(stamp, PICTURE, "  ")
    with pytest.raises(ImageError):
        segment_released(stamp, tmp_path / "missing.png", PROMPT)
    assert segment_released(stamp, Image.open(PICTURE), PROMPT, 1).new_tokens <= 1

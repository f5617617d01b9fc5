"""An accelerator's memory that does not suffice: once more with a smaller picture, or a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from stamp import Done, PromptError, StampPredictor, Turn
from stamp.checkpoints.load_options import LoadOptions
from stamp.errors import MemoryShortError

PARITY = Path(__file__).parents[1] / "parity"
PICTURE = Image.new("RGB", (224, 112), "teal")
#: 28 px a mask token: 8 x 4 of the whole picture, 4 x 2 of a quarter of its pixels.
FULL, QUARTER = 32, 8


@pytest.fixture(scope="module")
def stamp() -> StampPredictor:
    model = PARITY / "models" / "tied"
    loaded = StampPredictor.load(LoadOptions(model, device="cpu", dtype="float32", drafts=False))
    loaded.processor.limit_pixels(28 * 28, 224 * 224)
    return loaded


@pytest.fixture
def short(stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Lets a part of the model run out of memory for more than so many mask tokens -> what was attempted."""

    def make(part: str, most: int) -> list[int]:
        tried: list[int] = []
        whole = getattr(stamp.model, part)

        def scarce(*given: Any) -> Any:
            sizes: dict[str, Callable[[], int]] = {
                "encode_images": lambda: len(given[0]) // 4,
                "text_pass": lambda: given[0].shape[1],
            }
            tried.append(sizes[part]())
            if tried[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return whole(*given)

        monkeypatch.setattr(stamp.model, part, scarce)
        return tried

    return make


def ask(stamp: StampPredictor, **options: Any) -> Any:
    (*_, last) = stamp.stream([Turn("user", "Hi", PICTURE)], 3, **options)
    assert isinstance(last, Done)
    return last.segmentation


def test_a_share_of_the_pixels(stamp: StampPredictor) -> None:
    grids = [stamp.processor.encode_image(PICTURE, share)[1].tolist() for share in (1.0, 0.25, 1e-9)]
    assert [stamp.processor.n_image_tokens(torch.tensor(grid[0])) for grid in grids] == [FULL, QUARTER, 1]
    assert stamp.processor.image_processor.size["longest_edge"] == 224 * 224
    encoded = [stamp.encode_image(PICTURE, share) for share in (1.0, 0.25)]
    assert [len(one.embeds) for one in encoded] == [FULL, QUARTER]
    assert encoded[1].image.size == encoded[0].image.size


def test_a_picture_that_is_too_large_is_looked_at_once_more_in_a_smaller_size(
    stamp: StampPredictor, short: Callable[..., list[int]]
) -> None:
    whole = ask(stamp)
    stamp.conversation_cache.clear()
    tried = short("encode_images", QUARTER)
    for result in (ask(stamp, may_shrink=True), stamp.segment(PICTURE, "Hi", 3, may_shrink=True)):
        assert (result.is_shrunk, result.to_record()["is_shrunk"]) == (True, True)
        assert result.new_tokens == whole.new_tokens
        assert result.masks.shape[1:] == (112, 224)
    assert tried == [FULL, QUARTER] * 2
    assert not whole.is_shrunk


def test_features_that_were_made_before_are_made_again_smaller(
    stamp: StampPredictor, short: Callable[..., list[int]]
) -> None:
    encoded = stamp.encode_image(PICTURE)
    n_words = len(stamp.processor.encode_conversation([Turn("user", "Hi", encoded)], [FULL]).input_ids) - FULL
    tried = short("text_pass", n_words + QUARTER)
    assert stamp.segment(encoded, "Hi", 3, may_shrink=True).is_shrunk
    assert tried[:2] == [n_words + FULL, n_words + QUARTER]


def test_a_shrunk_answer_leaves_nothing_in_the_cache(stamp: StampPredictor, short: Callable[..., list[int]]) -> None:
    """Nobody could forget it: its features are of a smaller picture, which only that answer knew."""
    encoded = stamp.encode_image(PICTURE)
    stamp.conversation_cache.clear()
    n_words = len(stamp.processor.encode_conversation([Turn("user", "Hi", encoded)], [FULL]).input_ids) - FULL
    short("text_pass", n_words + QUARTER)
    *_, done = stamp.stream([Turn("user", "Hi", encoded)], 3, may_shrink=True)
    assert isinstance(done, Done)
    assert done.segmentation.is_shrunk
    assert stamp.conversation_cache.n_bytes == 0


def test_what_computed_earlier_answers_is_let_go_first(
    stamp: StampPredictor, short: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(stamp)
    assert stamp.conversation_cache.n_bytes > 0
    emptied: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(stamp.conversation_cache.n_bytes))
    short("text_pass", 0)
    with pytest.raises(MemoryShortError, match=r"^There is not enough memory for this answer\. Use a smaller picture"):
        stamp.segment(PICTURE, "Hi", 3, may_shrink=True)
    assert emptied == [0, 0]


def test_a_measurement_is_never_shrunk_without_a_word(stamp: StampPredictor, short: Callable[..., list[int]]) -> None:
    tried = short("encode_images", QUARTER)
    for attempt in (lambda: stamp.segment(PICTURE, "Hi", 3), lambda: ask(stamp)):
        stamp.conversation_cache.clear()
        with pytest.raises(PromptError, match="not enough memory"):
            attempt()
    assert tried == [FULL, FULL]


def test_an_answer_that_has_begun_is_not_begun_again(stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is on the visitor's page already."""
    stamp.conversation_cache.clear()
    whole = stamp.model.text_pass
    has_begun: list[int] = []
    passes: list[int] = []

    def scarce(*given: Any) -> Any:
        if has_begun:
            passes.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(*given)

    monkeypatch.setattr(stamp.model, "text_pass", scarce)
    events = stamp.stream([Turn("user", "Hi", PICTURE)], 9, may_shrink=True)
    next(events)
    has_begun.append(1)
    with pytest.raises(MemoryShortError):
        list(events)
    assert passes == [1]
    assert stamp.conversation_cache.n_bytes == 0

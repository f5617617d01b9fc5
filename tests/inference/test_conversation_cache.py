"""Follow-up questions on a cache: fewer passes, equal answers; and several callers at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import DynamicCache

from stamp import Done, Segmentation, StampPredictor, Turn
from stamp.conversation import EncodedImage
from stamp.inference.conversation_cache import DEFAULT_BYTES, ConversationCache, Prefix, default_bytes

EXAMPLES = sorted((Path(__file__).parents[2] / "assets" / "examples").glob("*.webp"))
QUESTIONS = ("segment everything you see", "What is on the left?", "segment the crab", "Is there a bee?")


def predictor(max_bytes: int = 10**9) -> StampPredictor:
    loaded = StampPredictor.from_pretrained(device="cpu", dtype="float32")
    return StampPredictor(  # a pass a token: passes are counted here
        loaded.model, loaded.processor, conversation_cache=ConversationCache(max_bytes), drafts=False
    )


def answer(stamp: StampPredictor, turns: list[Turn]) -> Segmentation:
    *_, last = stamp.stream(turns, 40)
    assert isinstance(last, Done)
    return last.segmentation


def talk(stamp: StampPredictor, image: Image.Image, questions: tuple[str, ...]) -> list[Segmentation]:
    turns: list[Turn] = []
    results = []
    for question in questions:
        turns.append(Turn("user", question, None if turns else image))
        results.append(answer(stamp, turns))
        turns.append(Turn("assistant", results[-1].text, token_ids=results[-1].token_ids))
    return results


def assert_equal(a: Segmentation, b: Segmentation) -> None:
    assert a.token_ids == b.token_ids
    assert len(a.mask_logits) == len(b.mask_logits)
    for x, y in zip(a.mask_logits, b.mask_logits, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-4)


@pytest.fixture(scope="module")
def stamp() -> StampPredictor:
    return predictor()


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.open(EXAMPLES[0]).convert("RGB")


def test_later_turns_feed_only_what_is_new_and_answer_as_fresh_ones(
    stamp: StampPredictor, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[int] = []
    text_pass = type(stamp.model).text_pass

    def noted(model: Any, embeds: Any, *rest: Any) -> Any:
        fed.append(embeds.shape[1])
        return text_pass(model, embeds, *rest)

    monkeypatch.setattr(type(stamp.model), "text_pass", noted)
    vision = Mock(wraps=stamp.model.encode_images)
    monkeypatch.setattr(stamp.model, "encode_images", vision)
    on_cache = talk(stamp, picture, QUESTIONS)
    prefills = [n for n in fed if n > 1]
    assert vision.call_count == 1
    assert len(prefills) == len(QUESTIONS)
    assert prefills[0] > 144
    assert max(prefills[1:]) < 40
    fresh = predictor(max_bytes=0)
    for a, b in zip(on_cache, talk(fresh, picture, QUESTIONS), strict=True):
        assert_equal(a, b)
    assert fresh.conversation_cache.n_bytes <= fresh.conversation_cache.max_bytes + 10**6  # the picture in use


def test_an_abandoned_answer_leaves_the_conversation_usable(picture: Image.Image) -> None:
    stamp, fresh = predictor(), predictor(max_bytes=0)
    events = stamp.stream([Turn("user", QUESTIONS[0], picture)], 40)
    next(events)
    events.close()
    assert_equal(
        answer(stamp, [Turn("user", QUESTIONS[2], picture)]), answer(fresh, [Turn("user", QUESTIONS[2], picture)])
    )


def test_threads_with_different_conversations_answer_as_if_alone(picture: Image.Image) -> None:
    other = Image.open(EXAMPLES[1]).convert("RGB")
    shared = predictor()
    jobs = [(picture, QUESTIONS), (other, QUESTIONS[::-1]), (picture, QUESTIONS[1:])]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda job: talk(shared, *job), jobs))
    for job, results in zip(jobs, together, strict=True):
        for a, b in zip(results, talk(predictor(), *job), strict=True):
            assert_equal(a, b)


@pytest.mark.parametrize("where", ["lm_head", "layer"])
def test_a_pass_that_breaks_leaves_nothing_to_later_answers(where: str, picture: Image.Image) -> None:
    """It leaves keys of tokens that were only guessed, or in some layers only."""
    loaded = StampPredictor.from_pretrained(device="cpu", dtype="float32")  # guesses tokens
    module: Any = loaded.model.lm_head if where == "lm_head" else loaded.model.model.language_model.layers[2]
    passes: list[int] = []

    def breaks(*_: object) -> None:
        passes.append(1)
        if len(passes) == 2:
            raise KeyboardInterrupt

    hook = module.register_forward_pre_hook(breaks)
    with pytest.raises(KeyboardInterrupt):
        answer(loaded, [Turn("user", "segment the crab", picture)])
    hook.remove()
    again = [Turn("user", "what is in the middle?", picture)]
    assert_equal(answer(loaded, again), answer(predictor(), again))


def test_an_answer_that_is_given_up_is_kept_for_the_next(picture: Image.Image) -> None:
    stamp = predictor()
    events = stamp.stream([Turn("user", "segment the crab", picture)])
    next(events)
    before = stamp.conversation_cache.n_bytes
    events.close()
    assert stamp.conversation_cache.n_bytes > before


# -- the cache alone -----------------------------------------------------------------------------------------------


def image(value: float = 0.0) -> EncodedImage:
    return EncodedImage(Image.new("RGB", (4, 4)), torch.full((2, 3), value), torch.ones(1, 3), (1, 2), 0.0, 0)


def prefix(ids: tuple[int, ...], images: tuple[EncodedImage, ...]) -> Prefix:
    cache = DynamicCache()
    cache.update(torch.zeros(1, 1, len(ids), 4), torch.zeros(1, 1, len(ids), 4), 0)
    return Prefix(cache, ids, tuple(one.embeds for one in images))


def test_the_longest_prefix_with_the_same_pictures_is_taken_once() -> None:
    a, b = image(), image()
    memory = ConversationCache()
    for ids, pictures in (((1, 2, 3), (a,)), ((1, 2, 3, 4, 9), (a,)), ((1, 2, 3, 4, 5), (b,))):
        memory.put(prefix(ids, pictures))
    taken = memory.take((1, 2, 3, 4, 5, 6), (a,))
    assert taken is not None
    assert taken.get_seq_length() == 4
    taken = memory.take((1, 2, 3, 4, 5, 6), (a,))
    assert taken is not None
    assert taken.get_seq_length() == 3
    assert memory.take((1, 2, 3, 4, 5, 6), (a,)) is None
    taken = memory.take((1, 2, 3, 4, 5), (b,))
    assert taken is not None
    assert taken.get_seq_length() == 4  # one token is left to feed
    memory.put(prefix((7, 8), (a,)))
    assert memory.take((1, 2), (a,)) is None


def test_the_oldest_go_first_and_the_bound_holds() -> None:
    picture = image()
    one = prefix((1, 2, 3, 4), (picture,)).n_bytes
    assert one == 2 * 4 * 4 * 4 + 2 * 3 * 4
    memory = ConversationCache(2 * one)
    for first in (1, 2, 3):
        memory.put(prefix((first, 0, 0, 0), (picture,)))
    assert memory.n_bytes == 2 * one
    assert memory.take((1, 0, 0, 0, 0), (picture,)) is None
    assert memory.take((3, 0, 0, 0, 0), (picture,)) is not None
    memory.put(prefix(tuple(range(100)), (picture,)))
    assert memory.n_bytes == 0


def test_a_forgotten_picture_takes_its_conversations_along() -> None:
    a, b = image(), image()
    memory = ConversationCache()
    memory.keep_image(memory.find_image(a.image)[0], a)
    for picture in (a, b):
        memory.put(prefix((1, 2, 3), (picture,)))
    memory.forget(a)
    memory.put(prefix((1, 2, 3, 4), (a,)))  # of an answer that was in progress
    assert memory.find_image(a.image)[1] is None
    assert memory.take((1, 2, 3, 4, 5), (a,)) is None
    assert memory.take((1, 2, 3, 4, 5), (b,)) is not None
    assert memory.n_bytes == 0


def test_pictures_are_known_by_their_pixels() -> None:
    memory = ConversationCache()
    red, encoded = Image.new("RGB", (4, 4), "red"), image()
    digest, found = memory.find_image(red)
    assert found is None
    memory.keep_image(digest, encoded)
    found = memory.find_image(copy := red.copy())[1]
    assert found is not None
    assert found.embeds is encoded.embeds
    assert found.image is copy  # pixels are the caller's, not the cache's
    assert memory.find_image(Image.new("RGB", (2, 8), "red"))[1] is None
    assert memory.find_image(Image.new("RGB", (4, 4), "blue"))[1] is None


def test_a_conversation_longer_than_the_model_reads_is_refused(stamp: StampPredictor, picture: Image.Image) -> None:
    turns = [Turn("user", "Hello", picture)]
    for _ in range(60):
        turns += [Turn("assistant", "x" * 1000), Turn("user", "z" * 1000)]
    with pytest.raises(ValueError, match="Start a new conversation"):
        answer(stamp, turns)


def digests(memory: ConversationCache, images: list[EncodedImage]) -> list[bytes]:
    """Keep pictures in this order, each under the digest of a picture of its own colour."""
    found = []
    for number, one in enumerate(images):
        digest, known = memory.find_image(Image.new("RGB", (1, 1), (number, 0, 0)))
        assert known is None
        memory.keep_image(digest, one)
        found.append(digest)
    return found


def kept(memory: ConversationCache, count: int) -> list[int]:
    """Which of them are still there."""
    return [n for n in range(count) if memory.find_image(Image.new("RGB", (1, 1), (n, 0, 0)))[1] is not None]


def test_features_of_pictures_take_a_quarter_of_the_memory() -> None:
    """One's are 24 bytes: two fit into a quarter of 8 * 24, and one byte less has room for one only."""
    memory = ConversationCache(8 * 24)
    digests(memory, [image(float(n)) for n in range(3)])
    assert kept(memory, 3) == [1, 2]
    assert memory.n_bytes == 2 * 24
    less = ConversationCache(8 * 24 - 4)
    digests(less, [image(float(n)) for n in range(3)])
    assert kept(less, 3) == [2]


def test_the_picture_that_was_looked_at_longest_ago_goes_first() -> None:
    memory = ConversationCache(8 * 24)
    digests(memory, [image(0.0), image(1.0)])
    assert memory.find_image(Image.new("RGB", (1, 1), (0, 0, 0)))[1] is not None
    memory.keep_image(b"another", image(2.0))
    assert kept(memory, 2) == [0]


def test_the_features_of_the_newest_picture_stay() -> None:
    """A conversation is about it."""
    memory = ConversationCache(0)
    digests(memory, [image(0.0), image(1.0)])
    assert kept(memory, 2) == [1]
    assert memory.n_bytes == 24


def test_a_large_picture_leaves_room_for_its_conversation(picture: Image.Image) -> None:
    """More pixels than the cache has bytes: they are the caller's, and a follow-up still feeds only what is new."""
    stamp = predictor(max_bytes=20_000_000)
    turns = [Turn("user", "Hello", picture.resize((4000, 3000)))]
    first = answer(stamp, turns)
    turns += [Turn("assistant", first.text, token_ids=first.token_ids), Turn("user", "Is there a bee?")]
    prefill = Mock(wraps=stamp.model.text_pass)
    stamp.model.text_pass = prefill
    assert_equal(answer(stamp, turns), answer(predictor(), turns))
    assert prefill.call_args_list[0].args[0].shape[1] < 30  # of more than 256 tokens


def test_pictures_leave_the_rest_of_the_memory_to_conversations() -> None:
    """What both take together is bounded."""
    picture = image()
    one = prefix((1, 2, 3, 4), (picture,)).n_bytes
    memory = ConversationCache(2 * one + 24)
    memory.keep_image(b"picture", image(0.0))
    for first in (1, 2, 3):
        memory.put(prefix((first, 0, 0, 0), (picture,)))
    assert memory.n_bytes == 2 * one + 24
    memory.max_bytes -= 1
    memory.put(prefix((4, 0, 0, 0), (picture,)))
    assert memory.n_bytes == one + 24
    assert memory.take((4, 0, 0, 0, 0), (picture,)) is not None


def test_a_small_model_keeps_little_and_a_large_one_a_gigabyte() -> None:
    nano = StampPredictor.from_pretrained(device="cpu", dtype="float32")
    weights = sum(parameter.nbytes for parameter in nano.model.parameters())
    assert weights <= nano.conversation_cache.max_bytes < 1.02 * weights  # buffers count too
    assert default_bytes(4_400_000_000) == DEFAULT_BYTES == 1_000_000_000

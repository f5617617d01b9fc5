"""A second question about the same picture, with and without the conversation cache of the first one."""

from collections.abc import Sequence

from PIL import Image

from benchmarks.methods.teacher_forcing import decode
from stamp.conversation import Segmentation, Turn
from stamp.inference.conversation_cache import ConversationCache
from stamp.predictor import StampPredictor

SECOND_PROMPT = "And the brown horse next to it?"


def segment_follow_up(
    predictor: StampPredictor, image: Image.Image, prompt: str, max_new_tokens: int, answer: Sequence[int]
) -> Segmentation:
    """Answer the second question on the predictor's conversation cache. The first call fills it; later calls use it."""
    return _second_answer(predictor, image, prompt, max_new_tokens, answer, predictor.conversation_cache)


def segment_fresh(
    predictor: StampPredictor, image: Image.Image, prompt: str, max_new_tokens: int, answer: Sequence[int]
) -> Segmentation:
    """The same, computed without a cache."""
    return _second_answer(predictor, image, prompt, max_new_tokens, answer, None)


def _second_answer(
    predictor: StampPredictor,
    image: Image.Image,
    prompt: str,
    max_new_tokens: int,
    ids: Sequence[int],
    memory: ConversationCache | None,
) -> Segmentation:
    """Force `ids` as the answer to both questions."""
    first = Turn("assistant", predictor.processor.decode(ids), token_ids=tuple(ids))
    question = Turn("user", prompt, image)
    answer = predictor.begin([question, first, Turn("user", SECOND_PROMPT)], "auto", memory)
    decode(answer, max_new_tokens, ids)
    answer.predict_masks()
    result = answer.result(predictor.versions())
    if memory is not None:  # leave the cache for the next call as the first question and its answer would
        prompt_ids = predictor.processor.encode_conversation([question], [len(answer.image.embeds)]).input_ids
        cache = answer.state.cache
        cache.crop(len(prompt_ids) + len(ids) - cache.get_seq_length())
        memory.put(answer.prefix())
    return result

"""Forces a given answer at the full cost of generating it.

Random weights never write `<|seg|>`, and a fair timing needs the same answer from every method. So each token of the
given answer takes a real decode step: the logits are computed, the greedy choice is read back from the device, and
only then replaced.
"""

from collections.abc import Sequence

from torch import Tensor

from stamp.conversation import ImageLike, Segmentation, Turn
from stamp.inference.answer import Answer
from stamp.inference.drafting import Drafter
from stamp.model.processing_stamp import StampProcessor
from stamp.predictor import StampPredictor

ONE_MASK = "Sure, here is the segmentation mask for '{}': <|seg|>"
#: A given answer: text in which only `<|seg|>` is special, or token ids. Without the end token.
Forced = str | Sequence[int]


def forced_ids(processor: StampProcessor, forced: Forced) -> list[int]:
    """Token ids of a given answer."""
    return processor.encode_response(forced) if isinstance(forced, str) else list(forced)


def decode(answer: Answer, max_new_tokens: int, forced: Forced | None, drafter: Drafter | None = None) -> None:
    """Fill an answer's tokens one by one: greedily, or with a given answer followed by the end token.

    The token budget applies to both: a longer given answer is cut and finishes with "length". drafter: guesses tokens,
    which the passes check several at a time; None decodes token by token.
    """
    if forced is None:
        choose = None
    else:
        ids = iter([*forced_ids(answer.processor, forced), answer.processor.end_token_id])

        def choose(logits: Tensor) -> int:
            int(logits.argmax())  # reading it back from the device takes time, as it does in a free answer
            return next(ids)

    for _ in answer.tokens(max_new_tokens, choose, drafter=drafter):
        pass


def segment_forced(
    predictor: StampPredictor,
    image: ImageLike,
    prompt: str,
    max_new_tokens: int = 256,
    forced_response: Forced | None = None,
    drafter: Drafter | None = None,
) -> Segmentation:
    """`StampPredictor.segment` with a given answer: the same passes in the same order. Without one: the plain call."""
    answer = predictor.begin([Turn("user", prompt, image)])
    decode(answer, max_new_tokens, forced_response, drafter)
    answer.predict_masks()
    return answer.result(predictor.versions())


def segment_drafted(
    predictor: StampPredictor, image: ImageLike, prompt: str, max_new_tokens: int, forced_response: Sequence[int]
) -> Segmentation:
    """`segment_forced` with guesses (`stamp.inference.drafting`)."""
    drafter = Drafter(predictor.processor)
    return segment_forced(predictor, image, prompt, max_new_tokens, forced_response, drafter)

"""Everything that runs on the GPU. On a Space with ZeroGPU, `spaces` lends one per call, in a separate process.

So these functions and their arguments can be pickled: a number stands for the model, and no lock, thread or stop event
crosses over. Without `spaces`, or on other hardware, they are called directly.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from PIL import Image

from stamp.errors import PromptError
from stamp.pictures.images import ImageError

try:
    import spaces  # only on Spaces; before torch, which it prepares
except ImportError:
    spaces = None

if TYPE_CHECKING:
    from stamp import EncodedImage, Segmentation, StampPredictor, Turn
    from stamp.conversation import StreamEvent

#: Longest time that a GPU is lent, and the part of it that writing an answer may take.
LENT_S, MAX_SECONDS = 60, 45.0
HOME = os.getpid()
#: The errors whose message is written for the visitor who caused them.
BAD_INPUT = (ImageError, PromptError)

F = TypeVar("F", bound=Callable[..., Any])

_predictors: "WeakValueDictionary[int, StampPredictor]" = WeakValueDictionary()
_stops: dict[int, Callable[[], bool]] = {}


def on_gpu(function: F) -> F:
    """Decorate a function that computes on the GPU."""
    lent: F = function if spaces is None else spaces.GPU(duration=LENT_S)(function)
    return lent


def is_lent() -> bool:
    """Whether this is a Space that lends its GPU call by call."""
    return spaces is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "true")


def stream_answer(
    predictor: "StampPredictor",
    turns: "Sequence[Turn]",
    max_new_tokens: int,
    refine: str,
    should_stop: Callable[[], bool],
    max_seconds: float | None,
) -> "Iterator[StreamEvent]":
    """As `StampPredictor.stream`; where the GPU is lent, a stop takes effect with the next piece of the answer."""
    number, seconds = _name(predictor, should_stop), _within(max_seconds)
    try:
        for event in _stream(number, list(turns), max_new_tokens, refine, seconds):
            if isinstance(event, Exception):
                raise event
            yield event
            if is_lent() and should_stop():
                return
    finally:
        del _stops[number]


def segment(
    predictor: "StampPredictor",
    image: Image.Image,
    prompt: str,
    should_stop: Callable[[], bool],
    max_seconds: float | None,
    refine: str = "auto",
    history: Sequence[tuple[str, str]] = (),
) -> "Segmentation":
    """As `StampPredictor.segment`; where the GPU is lent, it cannot be stopped."""
    number = _name(predictor, should_stop)
    try:
        answer = _segment(number, image, prompt, refine, tuple(history), _within(max_seconds))
        if isinstance(answer, Exception):
            raise answer
        return answer
    finally:
        del _stops[number]


def encode(predictor: "StampPredictor", picture: Image.Image, share: float = 1.0) -> "EncodedImage | None":
    """The picture's vision features; None where the GPU is lent, as they would stay with it, or its memory is short.

    share: of its pixels, as of `StampPredictor.encode_image`.
    """
    import torch

    if is_lent():
        return None
    try:
        return predictor.encode_image(picture, share)
    except torch.OutOfMemoryError:  # the answer tries again, with a smaller picture
        return None


# What the visitor is told crosses over as a value: of an exception, `spaces` passes on only the name of its class.


@on_gpu
def _stream(
    number: int, turns: "list[Turn]", max_new_tokens: int, refine: str, max_seconds: float | None
) -> "Iterator[StreamEvent | Exception]":
    limits: dict[str, Any] = {"should_stop": _stop_of(number), "max_seconds": max_seconds, "may_shrink": True}
    try:
        yield from _predictor(number).stream(turns, max_new_tokens, refine=refine, **limits)
    except BAD_INPUT as error:
        yield error


@on_gpu
def _segment(
    number: int,
    image: Image.Image,
    prompt: str,
    refine: str,
    history: tuple[tuple[str, str], ...],
    max_seconds: float | None,
) -> "Segmentation | Exception":
    limits: dict[str, Any] = {"should_stop": _stop_of(number), "max_seconds": max_seconds, "may_shrink": True}
    try:
        return _predictor(number).segment(image, prompt, refine=refine, history=history, **limits)
    except BAD_INPUT as error:
        return error


def _name(predictor: "StampPredictor", should_stop: Callable[[], bool]) -> int:
    """A number that names a model, and what may stop it, for one call. A model answers one question at a time."""
    number = id(predictor)
    _predictors[number] = predictor
    _stops[number] = should_stop
    return number


def _predictor(number: int) -> "StampPredictor":
    predictor = _predictors[number]
    if os.getpid() != HOME:  # the lock was copied, held by the calling thread
        predictor.lock = threading.RLock()
    return predictor


def _stop_of(number: int) -> Callable[[], bool]:
    return _stops[number] if os.getpid() == HOME else lambda: False


def _within(max_seconds: float | None) -> float | None:
    return min(max_seconds or MAX_SECONDS, MAX_SECONDS) if is_lent() else max_seconds

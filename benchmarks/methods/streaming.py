"""An answer as it is written: what a method has said and drawn by which second.

A method may have a `stream`. One without it says everything at once, at the end of `predict`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

from PIL import Image

from benchmarks.instruments import wait_for
from benchmarks.methods.method import Method, Prediction
from stamp.conversation import MaskReady, TextDelta
from stamp.pictures.masks import Mask

Piece = TextDelta | MaskReady | Prediction


class Streaming(Protocol):
    """A method that tells of its answer while it writes."""

    def stream(self, image: Image.Image, prompt: str, should_stop: Callable[[], bool]) -> Iterator[Piece]:
        """Text and masks as they come, and the prediction last. Masks in the form of text are pieces of text.

        should_stop: asked between tokens; what was written until then is the prediction.
        """


@dataclass(frozen=True)
class Moment:
    """at_s: seconds since picture and prompt went in. text: all of it so far. mask: bool (H, W) that has just landed.

    prediction: the whole answer; the last moment alone has it.
    """

    at_s: float
    text: str
    mask: Mask | None = None
    prediction: Prediction | None = None


def moments(method: Method, image: Image.Image, prompt: str, should_stop: Callable[[], bool]) -> Iterator[Moment]:
    """The answer of a method to an RGB picture, moment by moment, in the window of `benchmarks.running.measuring`."""
    wait_for(method.device)
    start, text = time.perf_counter(), ""
    for piece in _pieces(method, image, prompt, should_stop):
        if isinstance(piece, Prediction):
            wait_for(method.device)
            yield Moment(time.perf_counter() - start, piece.raw_output, prediction=piece)
        elif isinstance(piece, MaskReady):
            yield Moment(time.perf_counter() - start, text, mask=piece.mask)
        else:
            text += piece.text
            yield Moment(time.perf_counter() - start, text)


def _pieces(method: Method, image: Image.Image, prompt: str, should_stop: Callable[[], bool]) -> Iterator[Piece]:
    if hasattr(method, "stream"):
        yield from cast(Streaming, method).stream(image, prompt, should_stop)
    else:
        yield method.predict(image, prompt)

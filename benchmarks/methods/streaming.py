"""Records when the words and masks of an answer appear while it is written.

A method may have a `stream`. Without one, everything comes at once at the end of `predict`.
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
    """A method that shows its answer while it writes."""

    def stream(self, image: Image.Image, prompt: str, should_stop: Callable[[], bool]) -> Iterator[Piece]:
        """Text and masks as they come, and the prediction last. Masks in text form come as text.

        should_stop: called between tokens; if true, the prediction is what was written so far.
        """


@dataclass(frozen=True)
class Moment:
    """at_s: seconds since picture and prompt went in. text: all text so far. mask: bool (H, W), if one is new.

    prediction: the whole answer; only in the last moment.
    """

    at_s: float
    text: str
    mask: Mask | None = None
    prediction: Prediction | None = None


def moments(method: Method, image: Image.Image, prompt: str, should_stop: Callable[[], bool]) -> Iterator[Moment]:
    """A method's answer to an RGB picture, moment by moment, in the window of `benchmarks.running.measuring`."""
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

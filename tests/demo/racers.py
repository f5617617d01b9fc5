"""Methods that follow a script, in a pool of their own. For what the page does around the methods."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.methods import Method, Prediction
from benchmarks.methods.streaming import Piece
from demo.board.live import MethodPool
from demo.loading import ModelSlot
from stamp.conversation import MaskReady, TextDelta
from tests.benchmarks.scripted import ScriptedMethod
from tests.demo.fake import FakePredictor


def left_half(image: Image.Image) -> np.ndarray:
    """Bool (H, W)."""
    mask = np.zeros((image.height, image.width), dtype=bool)
    mask[:, : image.width // 2] = True
    return mask


class StreamingMethod(ScriptedMethod):
    """Writes `pieces`, a text each, or None for the left half as a mask; at the end its masks are the left half."""

    def __init__(self, name: str, pieces: list[str | None], pause_s: float = 0.0):
        super().__init__(name=name)
        self.pieces, self.pause_s = pieces, pause_s

    def answer(self, image: Image.Image, written: list[str | None]) -> Prediction:
        raw = "".join(piece or "<|seg|>" for piece in written)
        return Prediction(raw, raw, left_half(image)[None], len(written), len(written) + 1, True, {})

    def predict(self, image: Image.Image, prompt: str) -> Prediction:
        time.sleep(self.pause_s * len(self.pieces))
        return self.answer(image, self.pieces)

    def stream(self, image: Image.Image, prompt: str, should_stop: Callable[[], bool]) -> Iterator[Piece]:
        written: list[str | None] = []
        for piece in self.pieces:
            time.sleep(self.pause_s)
            if should_stop():
                break
            written.append(piece)
            if piece is None:
                yield MaskReady(0, left_half(image), np.zeros((1, 1), np.float32), None)
            else:
                yield TextDelta(piece)
        yield self.answer(image, written)


def fails(*_: object) -> Prediction:
    raise RuntimeError("secret /some/path")


class ScriptedPool(MethodPool):
    """A pool that holds these methods. A label whose method is an exception cannot be loaded."""

    def __init__(self, methods: dict[str, Any], predictor: FakePredictor | None = None, **options: Any):
        fake = predictor or FakePredictor()
        super().__init__(ModelSlot(lambda: fake, is_embedded=True).start(), **options)  # type: ignore[arg-type, return-value]
        self.slot.wait(10)
        self.pooled = methods

    def labels(self) -> list[str]:
        return [] if self.refusal() else list(self.pooled)

    def get(self, label: str) -> Method:
        method: Method | Exception = self.pooled[label]
        if isinstance(method, Exception):
            raise method
        return method


def racers(pause_s: float = 0.0) -> dict[str, Any]:
    """One of each way to a mask, with the texts of theirs."""
    outline = ["Here: ", "<x0><y0>", "<x15><y0>", "<x15><y31>", "<x0><y31><close>"]
    patches = ["Here: ", "<row0>", "<0-7>", "<row1>", "<0-7>"]
    return {
        "stamp": StreamingMethod("stamp", ["It is ", None, "."], pause_s),
        "polygon": StreamingMethod("polygon", list(outline), pause_s),
        "patch_text": StreamingMethod("patch_text", list(patches), pause_s),
        "embedding": ScriptedMethod(
            lambda image, _: StreamingMethod("embedding", []).answer(image, ["Sure "]), "embedding"
        ),
    }

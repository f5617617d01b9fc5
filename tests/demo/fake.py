"""A predictor without a model: writes a fixed answer, slowly if asked to. For what the page does around a model."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from demo.chat import asking
from demo.chat.visit import Visit
from demo.loading import ModelSlot
from stamp import Done, EncodedImage, MaskReady, PromptError, Segmentation, TextDelta, Turn
from stamp.conversation import StreamEvent
from stamp.inference.conversation_cache import ConversationCache
from stamp.pictures.images import ImageLimits, load_image

ANSWER = ("Sure", ", here is the left half: ", 0, " and the right half: ", 1, ".")
TIMINGS_S = {"vision": 0.0, "prefill": 0.1, "decode": 0.2, "mask": 0.05, "refine": 0.01, "total": 0.36}


class FakePredictor:
    """Answers with `answer`, in which the number k is a mask: 0 left half, 1 right half, 2 empty."""

    def __init__(self, answer: Sequence[str | int] = ANSWER, pause_s: float = 0.0, error: Exception | None = None):
        self.answer, self.pause_s, self.error = answer, pause_s, error
        self.image_limits = ImageLimits()
        self.device = torch.device("cpu")
        self.model = SimpleNamespace(num_parameters=lambda: 1_001_000)
        self.conversations: list[list[Turn]] = []
        self.refinements: list[str] = []
        self.histories: list[tuple[tuple[str, str], ...]] = []
        self.limits: list[float | None] = []
        self.written = 0
        self.encoded = 0
        self.shares: list[float] = []
        self.quantization = "none"
        self.lock = threading.RLock()
        self.conversation_cache = ConversationCache()

    def versions(self) -> dict[str, str]:
        return {"device": "cpu", "dtype": "float32"}

    def check_prompt(self, prompt: str) -> None:
        if not prompt.strip():
            raise PromptError("Type a request first.")

    def encode_image(self, image: Image.Image | str | Path, share: float = 1.0) -> EncodedImage:
        self.encoded += 1
        self.shares.append(share)
        return EncodedImage(load_image(image), torch.zeros(4, 2), torch.tensor([[1, 4, 4]]), (2, 2), 0.01, 0)

    def stream(
        self,
        conversation: Sequence[Turn],
        max_new_tokens: int = 256,
        *,
        refine: str = "auto",
        should_stop: Callable[[], bool] = lambda: False,
        max_seconds: float | None = None,
        may_shrink: bool = False,
    ) -> Iterator[StreamEvent]:
        self.limits.append(max_seconds)
        self.conversations.append(list(conversation))
        self.refinements.append(refine)
        image = next(turn.image for turn in conversation if isinstance(turn.image, EncodedImage))
        written: list[str | int] = []
        masks: list[np.ndarray] = []
        for part in self.answer:
            time.sleep(self.pause_s)
            if should_stop():
                break
            written.append(part)
            self.written += 1
            if isinstance(part, int):
                masks.append(half(image.size_hw, part))
                yield MaskReady(len(masks) - 1, masks[-1], np.zeros((2, 2), np.float32), None)
            else:
                yield TextDelta(part)
        if self.error is not None:
            raise self.error
        yield Done(segmentation(written, masks, image.size_hw, stopped=len(written) < len(self.answer)))

    def segment(
        self, image: Image.Image, prompt: str, *, history: Sequence[tuple[str, str]] = (), **options: Any
    ) -> Segmentation:
        """The answer of `stream` as a whole."""
        self.histories.append(tuple(history))
        (*_, last) = self.stream([Turn("user", prompt, self.encode_image(image))], **options)
        assert isinstance(last, Done)
        return last.segmentation


def half(size_hw: tuple[int, int], part: int) -> np.ndarray:
    """Mask 0 is the left half, 1 the right half, 2 empty."""
    columns = np.arange(size_hw[1])[None].repeat(size_hw[0], 0) * 2 // size_hw[1]
    return np.asarray(columns == part)


def segmentation(
    written: Sequence[str | int], masks: list[np.ndarray], size_hw: tuple[int, int], *, stopped: bool = False
) -> Segmentation:
    """The finished answer of the fake."""
    return Segmentation(
        text="".join(part for part in written if isinstance(part, str)),
        response="".join(part if isinstance(part, str) else "<|seg|>" for part in written),
        token_ids=tuple(range(len(written))),
        masks=np.stack(masks) if masks else np.zeros((0, *size_hw), bool),
        mask_logits=[np.zeros((2, 2), np.float32) for _ in masks],
        scores=[None for _ in masks],
        timings_s=TIMINGS_S,
        new_tokens=len(written),
        forward_passes=1,
        finish_reason="stopped" if stopped else "end",
    )


def slot_of(predictor: FakePredictor) -> ModelSlot:
    slot = ModelSlot(lambda: predictor).start()  # type: ignore[arg-type, return-value]
    assert slot.wait(5)
    return slot


def visit_of(size_wh: tuple[int, int] = (40, 30)) -> Visit:
    return Visit(Image.new("RGB", size_wh, "white"))


def ask(slot: ModelSlot, prompt: str, visit: Visit | None, refine: str | None = None) -> dict[str, Any]:
    """The page after all updates of one question."""
    page: dict[str, Any] = {}
    for updates in asking.ask(slot, prompt, refine, visit=visit):
        page |= updates
    return page

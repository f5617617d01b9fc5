"""A method without a model: gives the answers it is told to. For what the benchmark does around a method."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.datasets.sample import Sample
from benchmarks.methods import Prediction

PHASES_S = {"prefill": 0.01, "decode": 0.02}


def answer(text: str = "", masks: np.ndarray | None = None, *, valid: bool = True) -> Prediction:
    """A prediction; without masks, of 48 x 64 pixels."""
    found = np.zeros((0, 48, 64), dtype=bool) if masks is None else masks
    return Prediction(text, f"{text}<|seg|>", found, len(text), 3, valid, dict(PHASES_S))


class ScriptedMethod:
    """`script` gets (image, prompt) and returns a prediction or raises. calls: prompts, in their order."""

    def __init__(
        self,
        script: Callable[[Image.Image, str], Prediction] | None = None,
        name: str = "scripted",
        variant: str = "",
        log: list[tuple[str, str]] | None = None,
    ):
        self.script = script or (lambda image, _: answer(masks=np.zeros((0, image.height, image.width), dtype=bool)))
        self.name, self.variant, self.precision = name, variant, "float32"
        self.device = torch.device("cpu")
        self.log = [] if log is None else log
        self.about: dict[str, Any] = {
            "model": "none",
            "date": "2026-01-02",
            "commit": "abc",
            "uncommitted_changes": False,
        }

    def prompt(self, sample: Sample) -> str:
        return f"{sample.prompt}!"

    def predict(self, image: Image.Image, prompt: str) -> Prediction:
        self.log.append((self.name, prompt))
        return self.script(image, prompt)

    def provenance(self) -> dict[str, Any]:
        return dict(self.about)

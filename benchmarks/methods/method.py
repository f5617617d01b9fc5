"""The interface of a measured method: a picture and a prompt in, words and masks out."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.datasets.sample import Sample


@dataclass(frozen=True)
class Prediction:
    """One answer.

    text: without special tokens; raw_output: everything the model wrote, masks in text form included. masks: bool
    (S, H, W) at the picture's size, none or several. valid: the output is usable; it is not if it cannot be parsed or
    was cut before it said anything. phases_s: seconds per phase, named as in `stamp.inference.answer.PHASES` where the
    method has that phase. confidence: mean of `Segmentation.confidences`; None if there is none.
    """

    text: str
    raw_output: str
    masks: NDArray[np.bool_]
    new_tokens: int
    forward_passes: int
    valid: bool
    phases_s: dict[str, float]
    confidence: float | None = None


class Method(Protocol):
    """A loaded model that answers. Its maker (`benchmarks.methods`) decides what to load."""

    @property
    def name(self) -> str:
        """Identifies its records, together with the variant."""

    @property
    def variant(self) -> str:
        """What differs from the method's default; empty if nothing does."""

    @property
    def precision(self) -> str:
        """Quantization or dtype."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def prompt(self, sample: Sample) -> str:
        """The sample's request in the words this method was trained on."""

    def predict(self, image: Image.Image, prompt: str) -> Prediction:
        """The answer about an RGB picture. This whole call is timed."""

    def provenance(self) -> dict[str, Any]:
        """Checkpoint, its hash, parameters, dtype, versions, machine, commit, date; unknown is None."""


class TalksOnly:
    """Marks a method without masks: it gets only questions, and its rows have no mask scores."""

"""What a method is to the benchmark: a picture and a prompt in, words and masks out."""

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
    (S, H, W) at the picture's size, none or several. valid: the output could be used; an output that cannot be parsed,
    or was cut before it said anything, is not. phases_s: seconds by phase, those of `stamp.inference.answer.PHASES`
    where a method has them.
    """

    text: str
    raw_output: str
    masks: NDArray[np.bool_]
    new_tokens: int
    forward_passes: int
    valid: bool
    phases_s: dict[str, float]


class Method(Protocol):
    """A loaded model that answers. What it is loaded from is its maker's business (`benchmarks.methods`).

    name, variant: identify its records. precision: quantization or dtype.
    """

    @property
    def name(self) -> str: ...

    @property
    def variant(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def device(self) -> torch.device: ...

    def prompt(self, sample: Sample) -> str:
        """What the sample's request is in the words this method was trained on."""

    def predict(self, image: Image.Image, prompt: str) -> Prediction:
        """The answer about an RGB picture. Everything in here is timed."""

    def provenance(self) -> dict[str, Any]:
        """Checkpoint, its hash, parameters, dtype, versions, machine, commit, date; unknown is None."""


class TalksOnly:
    """Marks a method without masks: it is asked questions alone, and its rows have no scores of masks."""

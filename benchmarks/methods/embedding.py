"""Embedding prediction: one token prompts a mask decoder."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch.nn import functional

from benchmarks.baselines.embedding import EmbeddingForSegmentation
from benchmarks.checkpoints import MethodOptions, load_options_of
from benchmarks.methods.loading import OnPredictor, load_measured
from benchmarks.methods.method import Prediction
from benchmarks.methods.stamp import MAX_NEW_TOKENS, prediction_of
from stamp.conversation import Turn
from stamp.predictor import StampPredictor
from stamp.refinement import REFINERS
from stamp.refinement.refiner import Refiner

BILINEAR = "bilinear"
VARIANTS = (BILINEAR, *(name for name in REFINERS if name != "auto"))


@dataclass(frozen=True)
class BilinearRefiner:
    """Plain bilinear enlargement, as in LISA and SAM."""

    name = BILINEAR

    def __call__(self, logits: torch.Tensor, image: Image.Image) -> Iterator[torch.Tensor]:
        """See Refiner."""
        for plane in logits:
            yield functional.interpolate(plane[None, None], size=(image.height, image.width), mode="bilinear")[0, 0]


@dataclass(frozen=True)
class EmbeddingMethod(OnPredictor):
    """A predictor that gets its masks from a decoder. about: the value of `provenance`."""

    predictor: StampPredictor
    refiner: Refiner
    variant: str
    max_new_tokens: int
    about: dict[str, Any]

    name = "embedding"

    def predict(self, image: Image.Image, prompt: str) -> Prediction:
        """See Method."""
        answer = self.predictor.begin([Turn("user", prompt, image)])
        answer.refiner = self.refiner
        for _ in answer.tokens(self.max_new_tokens):
            pass
        answer.predict_masks()
        return prediction_of(answer.result(self.predictor.versions()))

    def provenance(self) -> dict[str, Any]:
        """See Method."""
        return self.about | {"refine": self.refiner.name, "max_new_tokens": self.max_new_tokens}


def load_embedding(variant: str, options: MethodOptions) -> EmbeddingMethod:
    """The baseline with --refine, like STAMP, or with the variant's way to enlarge masks. Raises ValueError."""
    if variant and variant not in VARIANTS:
        raise ValueError(f"embedding has no variant {variant!r}, only {', '.join(VARIANTS)}.")
    predictor, about = load_measured(load_options_of("embedding", options), EmbeddingForSegmentation)
    refiner = BilinearRefiner() if variant == BILINEAR else predictor.refiner(variant or options.refine)
    return EmbeddingMethod(predictor, refiner, variant, options.max_new_tokens or MAX_NEW_TOKENS, about)

"""All-mask prediction: STAMP itself, through the public predictor."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.datasets.sample import Sample
from benchmarks.fingerprint import sha256_of
from benchmarks.methods.method import Prediction
from benchmarks.methods.streaming import Piece
from benchmarks.provenance import provenance
from stamp.conversation import Done, Segmentation, Turn
from stamp.conversation_cache import ConversationCache
from stamp.loading import DTYPES
from stamp.options import load_predictor
from stamp.predictor import StampPredictor
from stamp.quantization import QUANTIZATIONS
from stamp.refinement import REFINERS, check_refiner_name
from stamp.sources import find_base, find_checkpoint, is_adapter

#: Words a variant is made of, joined by "+": a dtype, a quantization, and how masks are enlarged. "none" is the last.
DTYPE_WORDS = tuple(DTYPES)
QUANTIZATION_WORDS = tuple(word for word in QUANTIZATIONS if word not in ("none", "auto"))
REFINE_WORDS = tuple(word for word in REFINERS if word != "auto")
#: What of a checkpoint's folder decides its answers; reports lie in there too.
CHECKPOINT_FILES = ("*config.json", "tokenizer.json", "vocab.json", "merges.txt", "*.jinja", "*.safetensors")


@dataclass(frozen=True)
class StampMethod:
    """A predictor with its options.

    checkpoint: as given on the command line; None is the embedded nano. base_sha256: of an adapter's base, or None.
    """

    predictor: StampPredictor
    variant: str
    refine: str
    max_new_tokens: int
    checkpoint: str | None
    checkpoint_sha256: str
    base_sha256: str | None

    name = "stamp"

    @property
    def precision(self) -> str:
        """The quantization in effect, or the dtype."""
        versions = self.predictor.versions()
        return versions["dtype"] if versions["quantization"] == "none" else versions["quantization"]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.predictor.device

    def prompt(self, sample: Sample) -> str:
        """The dataset's prompt: STAMP answers plain requests."""
        return sample.prompt

    def predict(self, image: Image.Image, prompt: str) -> Prediction:
        """See Method. An answer that ran out of tokens without a mask is not valid: nobody knows what it would say."""
        return _prediction(self.predictor.segment(image, prompt, self.max_new_tokens, refine=self.refine))

    def stream(self, image: Image.Image, prompt: str, should_stop: Callable[[], bool]) -> Iterator[Piece]:
        """See benchmarks.methods.streaming. Each mask comes in a pass of its own, where `predict` makes one for all."""
        self.predictor.conversation_cache = ConversationCache(0)  # nothing may be left of an earlier answer
        turns = [Turn("user", prompt, image)]
        options: dict[str, Any] = {"refine": self.refine, "should_stop": should_stop}
        for event in self.predictor.stream(turns, self.max_new_tokens, **options):
            yield _prediction(event.segmentation) if isinstance(event, Done) else event

    def provenance(self) -> dict[str, Any]:
        """See Method."""
        return provenance(self.predictor, self.checkpoint) | {
            "checkpoint_sha256": self.checkpoint_sha256,
            "base_sha256": self.base_sha256,
            "refine": check_refiner_name(self.refine),
            "max_new_tokens": self.max_new_tokens,
        }


def _prediction(result: Segmentation) -> Prediction:
    return Prediction(
        text=result.text,
        raw_output=result.response,
        masks=result.masks,
        new_tokens=result.new_tokens,
        forward_passes=result.forward_passes,
        valid=result.finish_reason == "end" or len(result.masks) > 0,
        phases_s={phase: seconds for phase, seconds in result.timings_s.items() if phase != "total"},
    )


def load_stamp(variant: str, options: argparse.Namespace) -> StampMethod:
    """Load it as the command line says, with what the variant changes. Raises ValueError."""
    refine, changes = options.refine, {}
    for word in variant.split("+") if variant else ():
        if word in DTYPE_WORDS:
            changes["dtype"] = word
        elif word in QUANTIZATION_WORDS:
            changes["quantization"] = word
        elif word in REFINE_WORDS:
            refine = word
        else:
            words = ", ".join((*DTYPE_WORDS, *QUANTIZATION_WORDS, *REFINE_WORDS))
            raise ValueError(f"stamp has no variant {word!r}; join some of {words} with '+'.")
    check_refiner_name(refine)
    predictor = load_predictor(argparse.Namespace(**(vars(options) | changes)))
    predictor.refiner(refine)  # its weights are loaded here, and not in the first answer
    predictor.drafts = None  # token by token: an answer's passes must not depend on the samples before it
    folder = find_checkpoint(options.model, options.revision)
    base = find_base(folder, options.base) if is_adapter(folder) else None
    return StampMethod(
        predictor=predictor,
        variant=variant,
        refine=refine,
        max_new_tokens=options.max_new_tokens,
        checkpoint=options.model,
        checkpoint_sha256=_sha256(folder),
        base_sha256=None if base is None else _sha256(base),
    )


def _sha256(folder: Path) -> str:
    return sha256_of(sorted(path for pattern in CHECKPOINT_FILES for path in folder.glob(pattern)))

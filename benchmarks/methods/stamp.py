"""All-mask prediction: STAMP itself, through the public predictor, or the way its authors released it."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from benchmarks.checkpoints import ASSETS, STAMP, has_checkpoint
from benchmarks.datasets.sample import Sample
from benchmarks.fingerprint import sha256_of
from benchmarks.methods.method import Prediction
from benchmarks.provenance import provenance
from benchmarks.released import segment_released
from stamp.answer import PHASES
from stamp.conversation import Segmentation
from stamp.loading import DTYPES
from stamp.options import load_predictor
from stamp.predictor import StampPredictor
from stamp.quantization import QUANTIZATIONS
from stamp.refinement import REFINERS, check_refiner_name
from stamp.sources import EMBEDDED_CHECKPOINT, find_base, find_checkpoint, is_adapter

#: Words a variant is made of, joined by "+": a dtype, a quantization, how masks are enlarged ("none" is one of these),
#: and the algorithm as released.
DTYPE_WORDS = tuple(DTYPES)
QUANTIZATION_WORDS = tuple(word for word in QUANTIZATIONS if word not in ("none", "auto"))
REFINE_WORDS = tuple(word for word in REFINERS if word != "auto")
RELEASED_WORD = "released"
#: What of a checkpoint's folder decides its answers; reports lie in there too.
CHECKPOINT_FILES = ("*config.json", "tokenizer.json", "vocab.json", "merges.txt", "*.jinja", "*.safetensors")
LONGER = "the shipped checkpoint, trained longer than the baselines"

M = TypeVar("M", bound="StampMethod")


@dataclass(frozen=True)
class StampMethod:
    """A predictor with its options.

    checkpoint: as given on the command line; None is the embedded nano. base_sha256: of an adapter's base, or None.
    released: answer by the released algorithm: the same masks, with its extra work. note: what a reader of its figures
    must know, or None.
    """

    predictor: StampPredictor
    variant: str
    refine: str
    max_new_tokens: int
    checkpoint: str | None
    checkpoint_sha256: str
    base_sha256: str | None
    name: str = "stamp"
    released: bool = False
    note: str | None = None

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
        result = self.answer(image, prompt)
        return Prediction(
            text=result.text,
            raw_output=result.response,
            masks=result.masks,
            new_tokens=result.new_tokens,
            forward_passes=result.forward_passes,
            valid=result.finish_reason == "end" or len(result.masks) > 0,
            phases_s={phase: result.timings_s[phase] for phase in PHASES},
        )

    def answer(self, image: Image.Image, prompt: str) -> Segmentation:
        """The answer with its masks."""
        if self.released:
            return segment_released(self.predictor, image, prompt, self.max_new_tokens, refine=self.refine)
        return self.predictor.segment(image, prompt, self.max_new_tokens, refine=self.refine)

    def provenance(self) -> dict[str, Any]:
        """See Method."""
        return provenance(self.predictor, self.checkpoint) | {
            "checkpoint_sha256": self.checkpoint_sha256,
            "base_sha256": self.base_sha256,
            "refine": check_refiner_name(self.refine),
            "max_new_tokens": self.max_new_tokens,
            "note": self.note,
        }


def load_stamp(variant: str, options: argparse.Namespace) -> StampMethod:
    """What --model names; without it STAMP as trained with the baselines' budget, or the shipped nano until then."""
    if options.model is None and has_checkpoint(STAMP):
        options = changed(options, model=str(ASSETS / STAMP))
    return load_method(StampMethod, "stamp", variant, options)


def load_stamp_nano(variant: str, options: argparse.Namespace) -> StampMethod:
    """The shipped nano, whatever --model says."""
    return load_method(StampMethod, "stamp_nano", variant, changed(options, model=None, base=None, revision=None))


def changed(options: argparse.Namespace, **changes: str | None) -> argparse.Namespace:
    """A copy with other values."""
    return argparse.Namespace(**(vars(options) | changes))


def load_method(kind: type[M], name: str, variant: str, options: argparse.Namespace) -> M:
    """Load a checkpoint as the options say, with what the variant changes. Raises ValueError."""
    changes, refine, released = _read_variant(name, variant, options.refine)
    check_refiner_name(refine)
    predictor = load_predictor(changed(options, **changes))
    predictor.refiner(refine)  # its weights are loaded here, and not in the first answer
    predictor.drafts = None  # token by token: an answer's passes must not depend on the samples before it
    folder = find_checkpoint(options.model, options.revision)
    base = find_base(folder, options.base) if is_adapter(folder) else None
    return kind(
        predictor=predictor,
        variant=variant,
        refine=refine,
        max_new_tokens=options.max_new_tokens,
        checkpoint=options.model,
        checkpoint_sha256=_sha256(folder),
        base_sha256=None if base is None else _sha256(base),
        name=name,
        released=released,
        note=LONGER if folder.resolve() == EMBEDDED_CHECKPOINT else None,
    )


def _read_variant(name: str, variant: str, refine: str) -> tuple[dict[str, str], str, bool]:
    """(changed options of the model, how masks are enlarged, the released algorithm?). Raises ValueError."""
    changes, released = {}, False
    for word in variant.split("+") if variant else ():
        if word in DTYPE_WORDS:
            changes["dtype"] = word
        elif word in QUANTIZATION_WORDS:
            changes["quantization"] = word
        elif word in REFINE_WORDS:
            refine = word
        elif word == RELEASED_WORD:
            released = True
        else:
            words = ", ".join((*DTYPE_WORDS, *QUANTIZATION_WORDS, *REFINE_WORDS, RELEASED_WORD))
            raise ValueError(f"{name} has no variant {word!r}; join some of {words} with '+'.")
    return changes, refine, released


def _sha256(folder: Path) -> str:
    return sha256_of(sorted(path for pattern in CHECKPOINT_FILES for path in folder.glob(pattern)))

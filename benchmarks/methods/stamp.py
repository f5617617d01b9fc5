"""All-mask prediction: STAMP itself, with the public predictor or with the algorithm as released."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from PIL import Image

from benchmarks.checkpoints import MethodOptions, checkpoint_of, load_options_of
from benchmarks.methods.loading import OnPredictor, load_measured
from benchmarks.methods.method import Prediction
from benchmarks.methods.released import segment_released
from benchmarks.methods.streaming import Piece
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.loading import DTYPES
from stamp.checkpoints.quantization import QUANTIZATIONS
from stamp.conversation import Done, MaskComing, Segmentation, Turn
from stamp.inference.answer import PHASES
from stamp.inference.conversation_cache import ConversationCache
from stamp.predictor import StampPredictor
from stamp.refinement import REFINERS, check_refiner_name

#: Words that make a variant, joined by "+": a dtype, a quantization, how masks are enlarged ("none" is one of these),
#: and the algorithm as released.
DTYPE_WORDS = tuple(DTYPES)
QUANTIZATION_WORDS = tuple(word for word in QUANTIZATIONS if word not in ("none", "auto"))
REFINE_WORDS = tuple(word for word in REFINERS if word != "auto")
RELEASED_WORD = "released"
MAX_NEW_TOKENS = 256

M = TypeVar("M", bound="StampMethod")


@dataclass(frozen=True)
class StampMethod(OnPredictor):
    """A predictor with its options.

    about: the value of `provenance`. released: use the released algorithm: the same masks, with its extra work.
    """

    predictor: StampPredictor
    variant: str
    refine: str
    max_new_tokens: int
    about: dict[str, Any]
    name: str = "stamp"
    released: bool = False

    def predict(self, image: Image.Image, prompt: str) -> Prediction:
        """See Method."""
        return prediction_of(self.answer(image, prompt))

    def answer(self, image: Image.Image, prompt: str) -> Segmentation:
        """The answer with its masks."""
        if self.released:
            return segment_released(self.predictor, image, prompt, self.max_new_tokens, refine=self.refine)
        return self.predictor.segment(image, prompt, self.max_new_tokens, refine=self.refine)

    def stream(self, image: Image.Image, prompt: str, should_stop: Callable[[], bool]) -> Iterator[Piece]:
        """See benchmarks.methods.streaming. Each mask takes its own pass, while `predict` makes one pass for all."""
        if self.released:
            yield self.predict(image, prompt)  # the released algorithm shows nothing before it is done
            return
        turns = [Turn("user", prompt, image)]
        nothing = ConversationCache(0)  # nothing of an earlier answer may help
        options: dict[str, Any] = {"refine": self.refine, "should_stop": should_stop, "cache": nothing}
        for event in self.predictor.stream(turns, self.max_new_tokens, **options):
            if not isinstance(event, MaskComing):
                yield prediction_of(event.segmentation) if isinstance(event, Done) else event

    def provenance(self) -> dict[str, Any]:
        """See Method."""
        return self.about | {"refine": check_refiner_name(self.refine), "max_new_tokens": self.max_new_tokens}


def prediction_of(result: Segmentation) -> Prediction:
    """The prediction of an answer with one mask per `<|seg|>`.

    An answer that ran out of tokens before its first mask is invalid: its outcome is unknown.
    """
    known = [value for value in result.confidences if value is not None]
    return Prediction(
        text=result.text,
        raw_output=result.response,
        masks=result.masks,
        new_tokens=result.new_tokens,
        forward_passes=result.forward_passes,
        valid=result.finish_reason == "end" or len(result.masks) > 0,
        phases_s={phase: result.timings_s[phase] for phase in PHASES},
        confidence=sum(known) / len(known) if known else None,
    )


def load_stamp(variant: str, options: MethodOptions) -> StampMethod:
    """The checkpoint of --model; by default STAMP trained with the baselines' budget, or else the shipped nano."""
    load = replace(options.load, model=checkpoint_of("stamp", options))
    return load_method(StampMethod, "stamp", variant, load, options)


def load_stamp_nano(variant: str, options: MethodOptions) -> StampMethod:
    """The shipped nano, whatever --model says."""
    load = replace(options.load, model=None, base=None, revision=None)
    return load_method(StampMethod, "stamp_nano", variant, load, options)


def load_stamp_shared(variant: str, options: MethodOptions) -> StampMethod:
    """STAMP with a shared mask head: all masks of an answer from one set of mask tokens. Raises ValueError."""
    if RELEASED_WORD in variant.split("+"):
        raise ValueError("stamp_shared has no variant released: the released code has no shared mask head.")
    method = load_method(StampMethod, "stamp_shared", variant, load_options_of("stamp_shared", options), options)
    if not method.predictor.model.shares_mask_tokens:
        raise ValueError(f"{method.about['model']} has no shared mask head; it is a checkpoint of stamp.")
    return method


def load_method(kind: type[M], name: str, variant: str, load: LoadOptions, options: MethodOptions) -> M:
    """Load a checkpoint with the variant's changes. Raises ValueError."""
    changes, refine, released = _read_variant(name, variant, options.refine)
    check_refiner_name(refine)
    predictor, about = load_measured(replace(load, **changes))
    predictor.refiner(refine)  # loads its weights now, not in the first answer
    return kind(
        predictor=predictor,
        variant=variant,
        refine=refine,
        max_new_tokens=options.max_new_tokens or MAX_NEW_TOKENS,
        about=about,
        name=name,
        released=released,
    )


def _read_variant(name: str, variant: str, refine: str) -> tuple[dict[str, Any], str, bool]:
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

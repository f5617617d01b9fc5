"""What goes into the model and what comes out: turns of a dialogue, encoded images, segmentations, stream events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import Tensor

from stamp.errors import PromptError, is_utf8
from stamp.labels import label_masks
from stamp.pictures.masks import mask_record

MAX_PROMPT_CHARACTERS = 2000
#: Why an answer ended. end: the model closed it; length: the token budget is used up; stopped: the caller asked for
#: it; time: it took too long; repetition: it went on and on with the same words; masks: one more mask of this picture
#: would take too much memory; given: it was not generated.
FinishReason = Literal["end", "length", "stopped", "time", "repetition", "masks", "given"]


@dataclass(frozen=True)
class EncodedImage:
    """An image and its vision features, computed once and accepted wherever an image is.

    image: upright RGB in the original size. embeds: (P, H) merged features, row-major over `grid_hw`.
    grid_thw: (1, 3) patch grid. vision_s: seconds the vision tower took. model_id: the predictor it belongs to.
    """

    image: Image.Image
    embeds: Tensor
    grid_thw: Tensor
    grid_hw: tuple[int, int]
    vision_s: float
    model_id: int

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the original image in pixels."""
        return self.image.height, self.image.width


ImageLike = Image.Image | str | Path | EncodedImage


@dataclass(frozen=True)
class Turn:
    """One turn of a dialogue.

    token_ids: of an assistant turn, the generated ids without `<|im_end|>` (`Segmentation.token_ids`). Without
    them the text is taken literally: a `<|seg|>` in it is plain text.
    """

    role: Literal["user", "assistant"]
    text: str
    image: ImageLike | None = None
    token_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            raise ValueError(f'role is "user" or "assistant", not {self.role!r}')


@dataclass(frozen=True)
class Segmentation:
    """An answer and its masks. S masks, image H x W, grid gh x gw.

    text: answer without special tokens; response: with `<|seg|>` kept; token_ids: generated, without `<|im_end|>`.
    masks: bool (S, H, W) in the upright original frame; mask_logits: S float32 arrays (gh, gw), row-major.
    scores: mean sigmoid of the refined logits inside each mask; None for an empty mask.
    timings_s: vision, prefill, decode, mask, refine, total. finish_reason: see FinishReason.
    forward_passes: of the language model; fewer than tokens where guesses were right (see `stamp.inference.drafting`).
    is_shrunk: the picture was looked at in a smaller size than usual, because memory did not suffice.
    first_probability: of the first token, which decides between a mask and a refusal; None if it was not generated.
    """

    text: str
    response: str
    token_ids: tuple[int, ...]
    masks: np.ndarray
    mask_logits: list[np.ndarray]
    scores: list[float | None]
    timings_s: dict[str, float]
    new_tokens: int
    forward_passes: int
    finish_reason: FinishReason
    versions: dict[str, str] = field(default_factory=dict)
    is_shrunk: bool = False
    first_probability: float | None = None

    @property
    def confidences(self) -> list[float | None]:
        """For each mask its score times `first_probability`, 0..1; None where one of them is unknown.

        What a value means depends on the checkpoint: see `benchmarks.studies.confidence`.
        """
        first = self.first_probability
        return [None if score is None or first is None else score * first for score in self.scores]

    @property
    def labels(self) -> list[str]:
        """What the answer calls each mask, all different: "hat", or "hat 1" and "hat 2"; without words "mask 1"."""
        return label_masks(self.response, len(self.masks))

    def to_record(self) -> dict[str, Any]:
        """The JSON form of the command line and of the page's `/segment` endpoint."""
        height, width = self.masks.shape[1:]
        return {
            "text": self.text,
            "response": self.response,
            "finish_reason": self.finish_reason,
            "is_shrunk": self.is_shrunk,
            "width": width,
            "height": height,
            "masks": [
                {"label": label} | mask_record(mask, score)
                for label, mask, score in zip(self.labels, self.masks, self.scores, strict=True)
            ],
            "timings_s": self.timings_s,
            "new_tokens": self.new_tokens,
            "forward_passes": self.forward_passes,
            "versions": self.versions,
        }


@dataclass(frozen=True)
class TextDelta:
    """A piece of the answer's text; the pieces add up to `Segmentation.text`."""

    text: str


@dataclass(frozen=True)
class MaskComing:
    """Sent where a `<|seg|>` stands in the answer if its mask follows when the answer ends (a shared mask head)."""

    index: int


@dataclass(frozen=True)
class MaskReady:
    """A mask, sent where its `<|seg|>` stands in the answer, or after the text if a MaskComing stands there.

    mask: bool (H, W); logits: float32 (gh, gw).
    """

    index: int
    mask: np.ndarray
    logits: np.ndarray
    score: float | None


@dataclass(frozen=True)
class Done:
    """Last event of a stream."""

    segmentation: Segmentation


StreamEvent = TextDelta | MaskComing | MaskReady | Done


def check_conversation(turns: Sequence[Turn]) -> None:
    """Raise PromptError for turns that cannot be answered: without a question at the end, or without an image."""
    if not turns or turns[-1].role != "user":
        raise PromptError("A conversation must end with a user turn.")
    for turn in turns:
        if turn.role == "user":
            check_prompt(turn.text)
    if all(turn.image is None for turn in turns):
        raise PromptError("Give an image first: STAMP answers about pictures.")


def check_length(n_tokens: int, limit: int) -> None:
    """Raise PromptError for a conversation that leaves no room for an answer. limit: tokens that the model reads."""
    if n_tokens >= limit:
        raise PromptError(
            f"This conversation has {n_tokens:,} tokens; the model reads {limit:,}. Start a new conversation."
        )


def check_prompt(prompt: str) -> None:
    """Raise PromptError for an empty or too long prompt, and for one that is no text."""
    if not is_utf8(prompt):
        raise PromptError("The text holds characters that are not UTF-8. Type it again.")
    if not prompt.strip():
        raise PromptError('Type a request first, for example "segment the apple".')
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise PromptError(
            f"The text has {len(prompt):,} characters; the limit is {MAX_PROMPT_CHARACTERS:,}. Shorten it."
        )

"""One answer in progress: prefills the prompt, then collects tokens and masks until there is a result."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from stamp.conversation import EncodedImage, FinishReason, MaskReady, Segmentation
from stamp.inference.conversation_cache import Prefix
from stamp.inference.drafting import CONTEXT_TOKENS, DraftBook
from stamp.inference.generation import PhaseClock, TextState, choose_token, generate_tokens
from stamp.inference.repetition import is_repeating
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.refinement.refiner import Refiner, refine_masks

PHASES = ("vision", "prefill", "decode", "mask", "refine")
#: Mask tokens that may share one pass. Limits the memory for any number of masks; more would be no faster (CPU).
MAX_MASK_TOKENS_PER_PASS = 4096
_HALF_CHARACTER = "\ufffd"


class Answer:
    """Tokens, masks and timings of one answer. images: all images of the conversation; the last one is segmented.

    refiner: how logits become masks; None is bicubic enlargement. cache: holds a prefix of `input_ids`, or None.
    drafts: guesses tokens, and learns from the answer; None decodes token by token.
    """

    def __init__(
        self,
        model: StampForSegmentation,
        processor: StampProcessor,
        clock: PhaseClock,
        input_ids: Sequence[int],
        images: Sequence[EncodedImage],
        end_token_ids: frozenset[int],
        refiner: Refiner | None = None,
        cache: DynamicCache | None = None,
        drafts: DraftBook | None = None,
    ):
        self.processor = processor
        self.clock = clock
        self.image = images[-1]
        self.refiner = refiner
        self.drafts = drafts
        self.end_token_ids = end_token_ids
        self.token_ids: list[int] = []
        self.masks: list[MaskReady] = []
        self.finish_reason: FinishReason = "given"
        self._sent = ""
        self._started = clock.read() - clock.seconds.get("vision", 0.0)
        self.input_ids = tuple(input_ids)
        self.images = tuple(images)
        self.state = TextState(model, clock, cache)
        self.state.prefill(
            torch.tensor([input_ids], device=model.device),
            torch.cat([image.embeds for image in images]),
            torch.cat([image.grid_thw for image in images]).to(model.device),
        )

    def tokens(
        self,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        should_stop: Callable[[], bool] = lambda: False,
        *,
        max_seconds: float | None = None,
        end_repetition: bool = False,
    ) -> Iterator[int]:
        """Generate: yield each new token id; masks may be predicted between two of them.

        should_stop: called before every token. max_seconds: no token begins later than this after the first one.
        end_repetition: end an answer that keeps repeating the same words (see `stamp.inference.repetition`). Masks
        written as text may repeat a run, so methods that write them leave this off.
        """
        generator = torch.Generator().manual_seed(seed)
        latest = math.inf if max_seconds is None else time.monotonic() + max_seconds

        def choose(logits: Tensor) -> int:
            return choose_token(logits, temperature, generator)

        def why_stop() -> FinishReason | None:
            if should_stop():
                return "stopped"
            if time.monotonic() > latest:
                return "time"
            if end_repetition and is_repeating(self.token_ids, self.processor.seg_token_id):
                return "repetition"
            return None

        for step in generate_tokens(self.state, choose, self.end_token_ids, max_new_tokens, why_stop, self.guess):
            if isinstance(step, str):
                self.finish_reason = step
            else:
                self.token_ids.append(step)
                yield step
        if self.drafts is not None:
            self.drafts.remember(self._written())

    def guess(self) -> tuple[int, ...]:
        """Tokens that may follow."""
        return () if self.drafts is None else self.drafts.guess(self._written())

    def _written(self) -> tuple[int, ...]:
        """The last tokens of the prompt and the answer so far."""
        return (*self.input_ids[-CONTEXT_TOKENS:], *self.token_ids)

    def force(self, token_ids: Sequence[int]) -> Tensor:
        """Take given tokens as the answer -> next-token logits (n+1, V) float32; row 0 belongs to the prompt."""
        logits = [self.state.next_logits()[None]]
        self.token_ids.extend(token_ids)
        for token_id in token_ids:
            self.state.push(token_id)
        if token_ids:
            logits.append(self.state.flush())
        return torch.cat(logits).float().cpu()

    def predict_masks(self) -> list[MaskReady]:
        """Predict masks for every `<|seg|>` without one, together in one pass (or a few, if there are many)."""
        image = self.image
        group = max(1, MAX_MASK_TOKENS_PER_PASS // len(image.embeds))
        first, end = len(self.masks), len(self.state.seg_slots)
        for start in range(first, end, group):
            which = range(start, min(start + group, end))
            logits = self.state.mask_logits(which, image.embeds, image.grid_hw)
            with self.clock.phase("refine"):
                masks, scores = refine_masks(logits, image.image, self.refiner)
            self.masks += [MaskReady(*fields) for fields in zip(which, masks, logits.numpy(), scores, strict=True)]
        return self.masks[first:]

    def new_text(self, *, final: bool = False) -> str:
        """Text that was not returned before. An incomplete character is held back until `final`."""
        text = self.processor.decode(self.token_ids)
        if not final and text.endswith(_HALF_CHARACTER):
            return ""
        fresh = text[len(self._sent) :]
        self._sent = text
        return fresh

    def prefix(self) -> Prefix:
        """The prefix that a later turn can reuse."""
        self.state.take_back()
        length = self.state.cache.get_seq_length()
        return Prefix(self.state.cache, (*self.input_ids, *self.token_ids)[:length], self.images)

    def result(self, versions: dict[str, str]) -> Segmentation:
        """The answer so far. All masks must have been predicted."""
        masks = [mask.mask for mask in self.masks]
        seconds = {phase: self.clock.seconds.get(phase, 0.0) for phase in PHASES}
        return Segmentation(
            text=self.processor.decode(self.token_ids),
            response=self.processor.decode(self.token_ids, keep_seg=True),
            token_ids=tuple(self.token_ids),
            masks=np.stack(masks) if masks else np.zeros((0, *self.image.size_hw), dtype=bool),
            mask_logits=[mask.logits for mask in self.masks],
            scores=[mask.score for mask in self.masks],
            timings_s=seconds | {"total": self.clock.read() - self._started},
            new_tokens=len(self.token_ids),
            forward_passes=sum(self.clock.passes.get(phase, 0) for phase in ("prefill", "decode", "mask")),
            finish_reason=self.finish_reason,
            versions=versions,
        )

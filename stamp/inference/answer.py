"""One answer in progress: prefill, then tokens and masks, until there is a result."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from stamp.conversation import EncodedImage, FinishReason, MaskComing, MaskReady, Segmentation
from stamp.inference.captured_steps import CapturedSteps
from stamp.inference.conversation_cache import Prefix
from stamp.inference.drafting import Drafter
from stamp.inference.generation import Choose, PhaseClock, TextState, chooser
from stamp.inference.repetition import is_repeating
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.refinement.refiner import Refiner, refine_each

PHASES = ("vision", "prefill", "decode", "mask", "refine")
#: Mask tokens that may share one pass. Limits the memory for any number of masks; more would be no faster (CPU).
MAX_MASK_TOKENS_PER_PASS = 4096
#: Pixels, and so bytes, of all masks of an answer in the original size: ten masks of the largest picture.
MAX_MASK_PIXELS = 400_000_000
_HALF_CHARACTER = "\ufffd"


class Answer:
    """Tokens, masks and timings of one answer. images: all images of the conversation; the last one is segmented.

    refiner: how logits become masks; None is bicubic enlargement. cache: holds a prefix of `input_ids`, or None.
    captured: see `TextState`. `prefill` comes before everything else.
    """

    def __init__(
        self,
        model: StampForSegmentation,
        processor: StampProcessor,
        clock: PhaseClock,
        input_ids: Sequence[int],
        images: Sequence[EncodedImage],
        *,
        end_token_ids: frozenset[int],
        refiner: Refiner | None = None,
        cache: DynamicCache | None = None,
        captured: CapturedSteps | None = None,
    ):
        self.processor = processor
        self.clock = clock
        self.input_ids = tuple(input_ids)
        self.images = tuple(images)
        self.image = images[-1]
        self.end_token_ids = end_token_ids
        self.refiner = refiner
        self.state = TextState(model, clock, cache, captured)
        self.token_ids: list[int] = []
        self.masks: list[MaskReady] = []
        self.finish_reason: FinishReason = "given"
        self.first_probability: float | None = None
        self._sent = ""
        self._started = clock.read() - clock.seconds.get("vision", 0.0)

    def prefill(self) -> None:
        """Read the prompt, except what the cache holds of it."""
        device = self.state.model.device
        self.state.prefill(
            torch.tensor([self.input_ids], device=device),
            torch.cat([image.embeds for image in self.images]),
            torch.cat([image.grid_thw for image in self.images]).to(device),
        )

    def tokens(
        self,
        max_new_tokens: int,
        choose: Choose | None = None,
        *,
        drafter: Drafter | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        max_seconds: float | None = None,
        end_repetition: bool = False,
    ) -> Iterator[int]:
        """Generate: yield each new token id, without the end token; masks may be predicted between two of them.

        choose: None takes the most likely token. drafter: guesses tokens; None decodes token by token. should_stop:
        called before every token. max_seconds: no token begins later than this after the first one. end_repetition: end
        an answer that keeps repeating the same words (see `stamp.inference.repetition`). Masks written as text may
        repeat a run, so methods that write them leave this off.
        """
        choose = choose or chooser()
        guess = partial(self._guess, drafter)
        latest = math.inf if max_seconds is None else time.monotonic() + max_seconds
        for _ in range(max_new_tokens):
            if should_stop():
                self.finish_reason = "stopped"
                return
            if time.monotonic() > latest:
                self.finish_reason = "time"
                return
            if end_repetition and is_repeating(self.token_ids, self.processor.seg_token_id):
                self.finish_reason = "repetition"
                return
            logits = self.state.next_logits(guess)
            token_id = choose(logits)
            if not self.token_ids:
                self.first_probability = float(logits.float().softmax(-1)[token_id])
            if token_id in self.end_token_ids:
                self.finish_reason = "end"
                return
            if token_id == self.processor.seg_token_id and not self._has_room():
                self.finish_reason = "masks"
                return
            self.state.push(token_id)
            self.token_ids.append(token_id)
            yield token_id
        self.finish_reason = "length"

    def _has_room(self) -> bool:
        """Whether one more mask is allowed."""
        height, width = self.image.size_hw
        return (len(self.state.seg_slots) + 1) * height * width <= MAX_MASK_PIXELS

    def _guess(self, drafter: Drafter | None) -> tuple[int, ...]:
        """Tokens that may follow."""
        return () if drafter is None else drafter.guess((*self.input_ids, *self.token_ids))

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
        """Predict masks for every `<|seg|>` without one, together in one pass (or a few, if there are many).

        With a shared mask head, call it when the answer is complete: mask tokens see it up to the last `<|seg|>`.
        """
        image = self.image
        first, end = len(self.masks), len(self.state.seg_slots)
        group = max(1, MAX_MASK_TOKENS_PER_PASS // len(image.embeds))
        if self.state.model.shares_mask_tokens:
            group = max(1, end - first)
        for start in range(first, end, group):
            which = range(start, min(start + group, end))
            logits = self.state.mask_logits(which, image.embeds, image.grid_hw)
            with self.clock.phase("refine"):
                refined = list(refine_each(logits, image.image, self.refiner))
            found = zip(which, refined, logits.numpy(), strict=True)
            self.masks += [MaskReady(index, mask, grid, score) for index, (mask, score), grid in found]
        return self.masks[first:]

    def masks_at_seg(self) -> list[MaskReady] | list[MaskComing]:
        """What a stream sends at a `<|seg|>`: its mask, or with a shared mask head that it comes at the end."""
        if self.state.model.shares_mask_tokens:
            return [MaskComing(len(self.state.seg_slots) - 1)]
        return self.predict_masks()

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
        self.state.rollback()
        length = self.state.cache.get_seq_length()
        ids = (*self.input_ids, *self.token_ids)[:length]
        return Prefix(self.state.cache, ids, tuple(image.embeds for image in self.images))

    def result(self, versions: dict[str, str]) -> Segmentation:
        """The answer so far. All masks must have been predicted."""
        masks = np.empty((len(self.masks), *self.image.size_hw), dtype=bool)
        for index, ready in enumerate(self.masks):  # one by one: the masks of a large picture are not held twice
            masks[index] = ready.mask
            self.masks[index] = replace(ready, mask=masks[index])
        seconds = {phase: self.clock.seconds.get(phase, 0.0) for phase in PHASES}
        return Segmentation(
            text=self.processor.decode(self.token_ids),
            response=self.processor.decode(self.token_ids, keep_seg=True),
            token_ids=tuple(self.token_ids),
            masks=masks,
            mask_logits=[mask.logits for mask in self.masks],
            scores=[mask.score for mask in self.masks],
            timings_s=seconds | {"total": self.clock.read() - self._started},
            new_tokens=len(self.token_ids),
            forward_passes=sum(self.clock.passes.get(phase, 0) for phase in ("prefill", "decode", "mask")),
            finish_reason=self.finish_reason,
            versions=versions,
            first_probability=self.first_probability,
        )


@dataclass(frozen=True)
class DecodingOptions:
    """How an answer is generated; see the arguments of `StampPredictor.segment` and of `Answer.tokens`."""

    max_new_tokens: int
    temperature: float
    seed: int
    should_stop: Callable[[], bool]
    max_seconds: float | None
    drafter: Drafter | None

    def tokens(self, answer: Answer) -> Iterator[int]:
        """The tokens of an answer, which ends when it repeats itself."""
        return answer.tokens(
            self.max_new_tokens,
            chooser(self.temperature, self.seed),
            drafter=self.drafter,
            should_stop=self.should_stop,
            max_seconds=self.max_seconds,
            end_repetition=True,
        )

"""The public API of a model: image and words in, words and masks out."""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from stamp.checkpoints.devices import choose_device
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.loading import load_checkpoint
from stamp.checkpoints.provenance import package_versions
from stamp.checkpoints.sources import find_checkpoint
from stamp.conversation import (
    Done,
    EncodedImage,
    ImageLike,
    Segmentation,
    StreamEvent,
    TextDelta,
    Turn,
    check_conversation,
    check_length,
    check_prompt,
)
from stamp.inference.answer import Answer, DecodingOptions
from stamp.inference.captured_steps import CapturedSteps, capture_steps, check_decoding
from stamp.inference.conversation_cache import ConversationCache, default_bytes
from stamp.inference.drafting import Drafter
from stamp.inference.encoding import ImageEncoder
from stamp.inference.generation import PhaseClock
from stamp.inference.memory import within_memory
from stamp.model.int8_vision import is_int8_vision
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.pictures.images import DEFAULT_LIMITS, ImageLimits
from stamp.refinement import check_refiner_name, make_refiner
from stamp.refinement.refiner import Refiner


class StampPredictor:
    """Segment and chat with one STAMP model. Holds no conversation: every call gets all it needs."""

    def __init__(
        self,
        model: StampForSegmentation,
        processor: StampProcessor,
        *,
        image_limits: ImageLimits = DEFAULT_LIMITS,
        conversation_cache: ConversationCache | None = None,
        quantization: str = "none",
        sam_model: str | Path | None = None,
        drafts: bool = True,
        captured: CapturedSteps | None = None,
        read_clock: Callable[[], float] = time.perf_counter,
    ):
        model.config.seg_token_id = processor.seg_token_id
        model.config.mask_token_id = processor.mask_token_id
        self.model = model.eval()
        self.processor = processor
        self.image_limits = image_limits
        self.images = ImageEncoder(model, processor, image_limits)
        if conversation_cache is None:
            conversation_cache = ConversationCache(default_bytes(model.get_memory_footprint()))
        self.conversation_cache = conversation_cache
        self.lock = threading.RLock()  # a pass holds it; hold it for a whole answer to queue the others
        self.read_clock = read_clock  # of the timings, in seconds
        self.drafter = Drafter(processor) if drafts else None  # None: decode token by token
        self.captured = captured  # decoding passes as a CUDA graph; None: usual ones
        self.quantization = quantization
        self.sam_model = sam_model
        self._refiners: dict[str, Refiner] = {}
        self.end_token_ids = frozenset({processor.end_token_id, *model.end_token_ids})

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path | None = None, **options: Any) -> Self:
        """Load a checkpoint: None is the embedded nano; else "nano", "2b", "7b", a folder, or a hub id.

        options: the other fields of LoadOptions, such as device="cuda" or quantization="nf4".
        Raises CheckpointError (a ValueError) with what to do; nothing is initialised at random.
        """
        return cls.load(LoadOptions(path_or_id, **options))

    @classmethod
    def load(cls, options: LoadOptions) -> Self:
        """Load what the options say; see `from_pretrained`. Raises CheckpointError (a ValueError)."""
        check_decoding(options.decoding, choose_device(options.device))  # refused before a download
        sam = options.sam_model and find_checkpoint(options.sam_model, options.sam_revision, options.report)
        folder = find_checkpoint(options.model, options.revision, options.report)
        model, processor, in_effect = load_checkpoint(folder, options)
        predictor = cls(
            model,
            processor,
            quantization=in_effect,
            sam_model=sam or None,
            drafts=options.drafts,
            captured=capture_steps(model, options.decoding, in_effect),
            read_clock=options.read_clock,
        )
        if sam:
            predictor.refiner("sam")  # refused now, not at the first question
        return predictor

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        place: torch.device = self.model.device
        return place

    def encode_image(self, image: ImageLike, share: float = 1.0) -> EncodedImage:
        """Load and check an image and compute its vision features once. Raises ImageError.

        share: of the pixels that it would have after resizing. Fewer are faster, and masks get fewer, larger cells.
        """
        if share < 1:
            return self.images.encode_smaller(image, self.clock(), share)
        return self.images.encode(image, self.clock())

    def segment(
        self,
        image: ImageLike,
        prompt: str,
        max_new_tokens: int = 256,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        refine: str = "auto",
        should_stop: Callable[[], bool] = lambda: False,
        max_seconds: float | None = None,
        may_shrink: bool = False,
        history: Sequence[tuple[str, str]] = (),
    ) -> Segmentation:
        """Answer one prompt about one image. All masks of the answer share one mask pass.

        refine: how grid logits become pixels, a key of `stamp.refinement.REFINERS`. should_stop, max_seconds,
        may_shrink: as of `stream`. history: earlier prompts about the image, each with its `Segmentation.response`.
        """
        turns = []
        for question, response in history:
            turns += [Turn("user", question), self.processor.assistant_turn(response)]
        turns.append(Turn("user", prompt))
        turns[0] = replace(turns[0], image=image)

        options = DecodingOptions(max_new_tokens, temperature, seed, should_stop, max_seconds, self.drafter)
        (done,) = self._answer(turns, options, refine, may_shrink)
        assert isinstance(done, Done)
        return done.segmentation

    def stream(
        self,
        conversation: Sequence[Turn],
        max_new_tokens: int = 256,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        refine: str = "auto",
        should_stop: Callable[[], bool] = lambda: False,
        max_seconds: float | None = None,
        may_shrink: bool = False,
        cache: ConversationCache | None = None,
    ) -> Generator[StreamEvent, None, None]:
        """Answer the last user turn: TextDelta and MaskReady as they come, Done at the end.

        A shared mask head gives a MaskComing for each `<|seg|>`, and all masks when the text is complete.

        The last image of the conversation is the one that is segmented, in whichever turn it was given.
        should_stop: asked between tokens. max_seconds: of writing, from the first token on; None is no limit. Both end
        the answer between two tokens, and so does endless repetition (`stamp.inference.repetition`). What was written
        until then is kept, and `Segmentation.finish_reason` says what ended it.
        What earlier turns computed is used again while `cache` holds it; None is `conversation_cache`.
        may_shrink: where the accelerator's memory does not suffice before the first event, try once more with smaller
        pictures; `Segmentation.is_shrunk` says so. Raises MemoryShortError, a PromptError, where it does not suffice.
        """
        cache = self.conversation_cache if cache is None else cache
        options = DecodingOptions(max_new_tokens, temperature, seed, should_stop, max_seconds, self.drafter)
        yield from self._answer(conversation, options, refine, may_shrink, cache)

    def _answer(
        self,
        conversation: Sequence[Turn],
        options: DecodingOptions,
        refine: str,
        may_shrink: bool,
        cache: ConversationCache | None = None,
    ) -> Iterator[StreamEvent]:
        """The events of `stream`. Without a cache there is only Done, and all masks share one pass."""

        def attempt(share: float) -> Generator[StreamEvent, None, None]:
            clock = self.clock()
            smaller = [self.images.with_smaller(turn, clock, share) for turn in conversation] if share < 1 else None
            answer = self.begin(smaller or conversation, refine, cache, clock)
            kept = cache if share == 1 else None  # nothing finds the features of a smaller picture again
            try:
                for token_id in options.tokens(answer):
                    if cache is None:
                        continue
                    if token_id == self.processor.seg_token_id:
                        yield from answer.masks_at_seg()
                    elif piece := answer.new_text():
                        yield TextDelta(piece)
                if cache is not None and (rest := answer.new_text(final=True)):
                    yield TextDelta(rest)
                known = len(answer.masks)
                answer.predict_masks()  # what it returns would keep them in memory twice: `result` moves them
                result = replace(answer.result(self.versions()), is_shrunk=share < 1)
                if cache is not None:
                    yield from answer.masks[known:]
            except GeneratorExit:  # the caller walks away, between two passes; what breaks a pass leaves half of it
                if kept is not None:
                    kept.put(answer.prefix())
                raise
            if kept is not None:
                kept.put(answer.prefix())
            yield Done(result)

        yield from within_memory(attempt, may_shrink, self.conversation_cache.clear)

    def predict_masks(self, image: ImageLike, prompt: str, response: str) -> Segmentation:
        """Teacher-forced: the masks of a given response, in which only `<|seg|>` is special. No `<|im_end|>`."""
        answer = self.begin([Turn("user", prompt, image)])
        answer.force(self.processor.encode_response(response))
        answer.predict_masks()
        return answer.result(self.versions())

    def text_logits(self, image: ImageLike, prompt: str, response: str) -> np.ndarray:
        """Next-token logits along a given response of n tokens, float32 (n+1, V); the last row predicts the next."""
        answer = self.begin([Turn("user", prompt, image)])
        return answer.force(self.processor.encode_response(response)).numpy()

    def begin(
        self,
        conversation: Sequence[Turn],
        refine: str = "auto",
        cache: ConversationCache | None = None,
        clock: PhaseClock | None = None,
    ) -> Answer:
        """An answer, ready to generate: checks the conversation, encodes its images, prefills what `cache` lacks.

        clock: None starts a new one. Raises ImageError, PromptError.
        """
        check_conversation(conversation)
        refiner, clock = self.refiner(refine), clock or self.clock()
        clock.seconds.setdefault("vision", 0.0)
        given = [turn.image for turn in conversation if turn.image is not None]
        images = [self.images.encode(image, clock, cache) for image in given]
        ids = self.processor.encode_conversation(conversation, [len(image.embeds) for image in images]).input_ids
        check_length(len(ids), self.model.config.text_config.max_position_embeddings)
        answer = Answer(
            self.model,
            self.processor,
            clock,
            ids,
            images,
            end_token_ids=self.end_token_ids,
            refiner=refiner,
            cache=None if cache is None else cache.take(ids, images),
            captured=self.captured,
        )
        answer.prefill()
        return answer

    def refiner(self, name: str = "auto") -> Refiner:
        """The way from grid logits to pixels, made on first use. Raises ValueError for an unknown name."""
        name = check_refiner_name(name)
        if name not in self._refiners:
            self._refiners[name] = make_refiner(name, sam_model=self.sam_model, device=self.device)
        return self._refiners[name]

    def clock(self) -> PhaseClock:
        """A clock for the phases of one answer; a phase holds the lock."""
        return PhaseClock(self.device, self.lock, self.read_clock)

    def check_prompt(self, prompt: str) -> None:
        """Raise PromptError for a prompt that cannot be answered."""
        check_prompt(prompt)

    def versions(self) -> dict[str, str]:
        """What produced a result: package versions, device, dtype, quantization."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        about = {"device": str(self.device), "dtype": dtype, "quantization": self.quantization}
        if is_int8_vision(self.model.model.visual):
            about["vision"] = "int8"
        if self.captured is not None:
            about["decoding"] = "captured"
        return package_versions() | about

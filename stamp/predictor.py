"""The public face of a model: image and words in, words and masks out."""

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from stamp.answer import Answer
from stamp.conversation import Done, EncodedImage, ImageLike, Segmentation, StreamEvent, TextDelta, Turn
from stamp.generation import PhaseClock
from stamp.images import DEFAULT_LIMITS, ImageLimits, load_image
from stamp.modeling_stamp import StampForSegmentation
from stamp.processing_stamp import StampProcessor

EMBEDDED_CHECKPOINT = Path(__file__).resolve().parent.parent / "assets" / "stamp-nano"
MAX_PROMPT_CHARACTERS = 2000


class PromptError(ValueError):
    """A prompt that cannot be answered; the message tells a visitor what to change."""


class StampPredictor:
    """Segment and chat with one STAMP model. Holds no conversation: every call gets all it needs."""

    def __init__(
        self,
        model: StampForSegmentation,
        processor: StampProcessor,
        *,
        image_limits: ImageLimits = DEFAULT_LIMITS,
        max_prompt_characters: int = MAX_PROMPT_CHARACTERS,
    ):
        model.config.seg_token_id = processor.seg_token_id
        model.config.mask_token_id = processor.mask_token_id
        self.model = model.eval()
        self.processor = processor
        self.image_limits = image_limits
        self.max_prompt_characters = max_prompt_characters
        self.end_token_ids = frozenset({processor.end_token_id, *_end_tokens(model)})

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        quantization: str = "none",
        base: str | None = None,
        revision: str | None = None,
    ) -> Self:
        """Load a checkpoint folder or hub id; None is the embedded nano checkpoint.

        device: "auto" (CUDA when there is one), "cpu", "cuda", "cuda:1" ... dtype: "float32", "bfloat16", "float16",
        or "auto": as saved, but float32 on a CPU without bfloat16 matrix units, where that is faster.
        Raises ValueError for weights that do not fit: nothing is initialised at random.
        """
        if quantization != "none":
            raise ValueError(f'quantization {quantization!r} is not supported yet; use "none"')
        if base is not None:
            raise ValueError("base= is for adapter checkpoints, which are not supported yet")
        source = EMBEDDED_CHECKPOINT if path_or_id is None else path_or_id
        place = torch.device(choose_device(device))
        hub: dict[str, Any] = {} if revision is None else {"revision": revision}
        load: Any = StampForSegmentation.from_pretrained
        model, info = load(
            source,
            dtype=_auto_dtype(place) if dtype == "auto" else dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            output_loading_info=True,
            **hub,
        )
        _refuse_incomplete(info, source)
        return cls(model.to(place), StampProcessor.from_pretrained(source, **hub))

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.device

    # -- public API --------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode_image(self, image: ImageLike) -> EncodedImage:
        """Load and check an image and compute its vision features once. Raises ImageError."""
        if isinstance(image, EncodedImage):
            if image.model_id != id(self.model):
                raise ValueError("this EncodedImage was made by another predictor; encode the image again")
            return image
        picture = load_image(image, self.image_limits)
        clock = PhaseClock(self.device)
        with clock.phase("vision"):
            pixels, grid = self.processor.encode_image(picture)
            (embeds,) = self.model.encode_images(pixels.to(self.device), grid.to(self.device))
        grid_hw = self.model.merged_grid(grid[0])
        return EncodedImage(picture, embeds, grid, grid_hw, clock.seconds["vision"], id(self.model))

    def segment(
        self, image: ImageLike, prompt: str, max_new_tokens: int = 256, *, temperature: float = 0.0, seed: int = 0
    ) -> Segmentation:
        """Answer one prompt about one image. All masks of the answer share one mask pass."""
        answer = self._begin([Turn("user", prompt, image)])
        for _ in answer.tokens(max_new_tokens, temperature, seed):
            pass
        answer.predict_masks()
        return answer.result(self.versions())

    def stream(
        self,
        conversation: Sequence[Turn],
        max_new_tokens: int = 256,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[StreamEvent]:
        """Answer the last user turn: TextDelta and MaskReady as they come, Done at the end.

        The last image of the conversation is the one that is segmented, in whichever turn it was given.
        `should_stop` is asked between tokens; what was written until then is kept.
        """
        answer = self._begin(conversation)
        for token_id in answer.tokens(max_new_tokens, temperature, seed, should_stop):
            if token_id == self.processor.seg_token_id:
                yield from answer.predict_masks()
            elif piece := answer.new_text():
                yield TextDelta(piece)
        result = answer.result(self.versions())
        if rest := answer.new_text(final=True):
            yield TextDelta(rest)
        yield Done(result)

    def predict_masks(self, image: ImageLike, prompt: str, response: str) -> Segmentation:
        """Teacher-forced: the masks of a given response, in which only `<|seg|>` is special. No `<|im_end|>`."""
        answer = self._begin([Turn("user", prompt, image)])
        answer.force(self.processor.encode_response(response))
        answer.predict_masks()
        return answer.result(self.versions())

    def text_logits(self, image: ImageLike, prompt: str, response: str) -> np.ndarray:
        """Next-token logits along a given response of n tokens, float32 (n+1, V); the last row predicts the next."""
        answer = self._begin([Turn("user", prompt, image)])
        return answer.force(self.processor.encode_response(response)).numpy()

    def _begin(self, conversation: Sequence[Turn]) -> Answer:
        """Check a conversation, encode its images and prefill it."""
        if not conversation or conversation[-1].role != "user":
            raise PromptError("A conversation ends with a user turn.")
        for turn in conversation:
            if turn.role == "user":
                self.check_prompt(turn.text)
        given = [turn.image for turn in conversation if turn.image is not None]
        if not given:
            raise PromptError("Give an image first: STAMP answers about pictures.")
        images = [self.encode_image(image) for image in given]
        encoded = self.processor.encode_conversation(conversation, [len(image.embeds) for image in images])
        clock = PhaseClock(self.device)
        clock.seconds["vision"] = sum(
            image.vision_s for image, source in zip(images, given, strict=True) if image is not source
        )
        return Answer(self.model, self.processor, clock, encoded.input_ids, images, self.end_token_ids)

    # -- checks ------------------------------------------------------------------------------------------------

    def check_prompt(self, prompt: str) -> None:
        """Raise PromptError for an empty or too long prompt."""
        if not prompt.strip():
            raise PromptError('Type a request first, for example "segment the apple".')
        if len(prompt) > self.max_prompt_characters:
            raise PromptError(
                f"The text has {len(prompt):,} characters; the limit is {self.max_prompt_characters:,}. Shorten it."
            )

    def versions(self) -> dict[str, str]:
        """What produced a result: package versions, device, dtype."""
        packages = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "Pillow", "numpy")}
        return packages | {"device": str(self.device), "dtype": str(self.model.dtype).removeprefix("torch.")}


def choose_device(device: str) -> str:
    """The device named, or for "auto" CUDA where there is one."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _auto_dtype(device: torch.device) -> str:
    slow_bf16 = device.type == "cpu" and not torch.cpu._is_amx_tile_supported()
    return "float32" if slow_bf16 else "auto"


def _end_tokens(model: StampForSegmentation) -> list[int]:
    config = model.generation_config
    ids = None if config is None else config.eos_token_id
    if ids is None:
        return []
    return [ids] if isinstance(ids, int) else list(ids)


def _refuse_incomplete(info: dict[str, Any], source: str | Path) -> None:
    """Raise ValueError when a checkpoint lacks tensors or has some of another shape."""
    kinds = ("missing_keys", "mismatched_keys")
    problems = [f"{kind}: {sorted(map(str, info[kind]))[:5]}" for kind in kinds if info[kind]]
    if problems:
        raise ValueError(f"{source} is not a complete STAMP checkpoint. " + "; ".join(problems))

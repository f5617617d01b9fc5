"""Converts pictures and words to tensors, and mask logits back to pixels.

A StampProcessor joins a tokenizer with transformers' PIL image processor (the one that matches the official
preprocessing bit for bit; no torchvision). Text typed by a user can never become a special token here.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from stamp.conversation import Turn
from stamp.errors import CheckpointError, reading
from stamp.model.configuration_stamp import MASK_TOKEN, SEG_TOKEN

IMAGE_TOKEN = "<|image_pad|>"
END_OF_TURN = "<|im_end|>"
#: (min, max) pixels that Qwen2-VL ships, in its own file and in transformers' default.
STOCK_PIXELS = ((56 * 56, 28 * 28 * 1280), (56 * 56, 28 * 28 * 16384))
#: The released STAMP code's limits: about 1024 to 1280 mask tokens.
OFFICIAL_PIXELS = (1024 * 28 * 28, 1280 * 28 * 28)
_SLOT = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True)
class EncodedConversation:
    """Token ids of a rendered conversation.

    input_ids: image pads already expanded. is_answer: True for the tokens to learn (assistant words and the
    `<|im_end|>` after them).
    """

    input_ids: list[int]
    is_answer: list[bool]


class StampProcessor:
    """Tokenizer, chat template and image processor of one checkpoint."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, image_processor: Qwen2VLImageProcessorPil):
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.seg_token_id = self._special_id(SEG_TOKEN)
        self.mask_token_id = self._special_id(MASK_TOKEN)
        self.image_token_id = self._special_id(IMAGE_TOKEN)
        self.end_token_id = self._special_id(END_OF_TURN)
        self.plain_tokenizer = _without_added_tokens(tokenizer)
        if tokenizer.chat_template is None:
            raise CheckpointError(
                f"The tokenizer of {tokenizer.name_or_path} has no chat template: fetch chat_template.jinja or "
                "chat_template.json from the same place."
            )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Read tokenizer, chat template and pixel limits of a checkpoint folder."""
        return cls(cls.read_tokenizer(folder), cls.read_image_processor(folder))

    @staticmethod
    def read_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
        """The tokenizer with its chat template; STAMP's four tokens or the template may still be missing."""
        with reading(f"The tokenizer of {folder}"):
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            if tokenizer.chat_template is None:
                tokenizer.chat_template = _template_of_old(Path(folder) / "chat_template.json")
        return tokenizer

    @staticmethod
    def read_image_processor(folder: str | Path) -> Qwen2VLImageProcessorPil:
        """The image processor. Qwen2-VL's stock pixel limits (up to 16k tokens) become STAMP's official ones."""
        with reading(f"The image processor of {folder}"):
            processor: Qwen2VLImageProcessorPil = Qwen2VLImageProcessorPil.from_pretrained(folder)
            size: Any = processor.size
            numbers = (size["shortest_edge"], size["longest_edge"], processor.patch_size, processor.merge_size)
            if any(type(number) is not int or number < 1 for number in numbers):
                raise TypeError(f"sizes must be whole numbers, found {numbers}")
            if (size["shortest_edge"], size["longest_edge"]) in STOCK_PIXELS:
                size["shortest_edge"], size["longest_edge"] = OFFICIAL_PIXELS
        return processor

    def limit_pixels(self, min_pixels: int | None, max_pixels: int | None) -> None:
        """Change the pixel limits of a resized picture; None keeps a limit. Raises ValueError if min > max."""
        size: Any = self.image_processor.size
        low = size["shortest_edge"] if min_pixels is None else min_pixels
        high = size["longest_edge"] if max_pixels is None else max_pixels
        cell = self._cell_pixels
        if max_pixels is not None and min_pixels is None:
            low = min(low, high)
        if not 1 <= low <= high or high < cell:
            raise ValueError(
                f"--min-pixels and --max-pixels must be 1 <= min <= max, and max at least {cell} (one mask token); "
                f"got {low} and {high}."
            )
        size["shortest_edge"], size["longest_edge"] = low, high

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the files that `from_pretrained` reads."""
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)

    def _special_id(self, token: str) -> int:
        token_id: int | None = self.tokenizer.get_added_vocab().get(token)
        if token_id is None:
            raise CheckpointError(
                f"This is not a STAMP checkpoint: its tokenizer has no {token}. Qwen2-VL alone cannot segment."
            )
        return token_id

    # -- images ------------------------------------------------------------------------------------------------

    def encode_image(self, image: Image.Image, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """RGB image -> (pixel_values (patches, patch_dim) float32, image_grid_thw (1, 3) int64).

        share: of the pixels it would have after resizing; at least one mask token is left.
        """
        options: dict[str, Any] = {}
        if share < 1:
            size: Any = self.image_processor.size
            pixels = min(max(image.width * image.height, size["shortest_edge"]), size["longest_edge"])
            most = max(int(share * pixels), self._cell_pixels)
            options["size"] = {"shortest_edge": min(size["shortest_edge"], most), "longest_edge": most}
        inputs = self.image_processor(images=[image], return_tensors="pt", **options)
        return inputs["pixel_values"], inputs["image_grid_thw"]

    @property
    def _cell_pixels(self) -> int:
        """Pixels of one mask token."""
        return int(self.image_processor.patch_size * self.image_processor.merge_size) ** 2

    def n_image_tokens(self, grid_thw: Tensor) -> int:
        """Number of image tokens of one (3,) patch grid: merged patches, the P of the mask pass."""
        return int(grid_thw.prod()) // self.image_processor.merge_size**2

    # -- text --------------------------------------------------------------------------------------------------

    def encode_plain(self, text: str) -> list[int]:
        """Ids of text in which nothing is special: a typed `<|seg|>` stays ordinary characters."""
        return list(self.plain_tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_response(self, response: str) -> list[int]:
        """Ids of an assistant response in which only `<|seg|>` is special. Nothing is stripped or appended."""
        pieces = [self.encode_plain(piece) for piece in response.split(SEG_TOKEN)]
        ids = pieces[0]
        for piece in pieces[1:]:
            ids = [*ids, self.seg_token_id, *piece]
        return ids

    def assistant_turn(self, response: str) -> Turn:
        """A turn of the assistant in which only `<|seg|>` is special."""
        return Turn("assistant", response, token_ids=tuple(self.encode_response(response)))

    def decode(self, token_ids: Sequence[int], *, keep_seg: bool = False) -> str:
        """Text of generated ids without special tokens, or with only `<|seg|>` kept."""
        if not keep_seg:
            return str(
                self.tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
            )
        pieces: list[list[int]] = [[]]
        for token_id in token_ids:
            if token_id == self.seg_token_id:
                pieces.append([])
            else:
                pieces[-1].append(token_id)
        return SEG_TOKEN.join(self.decode(piece) for piece in pieces)

    def encode_conversation(
        self, turns: Sequence[Turn], n_image_tokens: Sequence[int], *, add_generation_prompt: bool = True
    ) -> EncodedConversation:
        """Render the chat template around the turns' words.

        The template is rendered with a slot for each text and tokenised without the texts; then the texts' own ids go
        into the slots. So whatever a user types, only the template yields special tokens.
        n_image_tokens: P of each image in the conversation, in order.
        """
        messages: list[dict[str, Any]] = [
            {"role": turn.role, "content": _content(turn, f"\ue000{i}\ue001")} for i, turn in enumerate(turns)
        ]
        template = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        ids: list[int] = []
        answer: list[bool] = []
        after_answer = False
        for n, piece in enumerate(_SLOT.split(str(template))):
            if n % 2:
                turn = turns[int(piece)]
                words = list(turn.token_ids) if turn.token_ids is not None else self.encode_plain(turn.text)
                words = [one for one in words if one != self.image_token_id]  # an answer may have one; it has no image
                ids += words
                after_answer = turn.role == "assistant"
                answer += [after_answer] * len(words)
            else:
                words = self.tokenizer.encode(piece, add_special_tokens=False)
                ids += words
                answer += [after_answer and k == 0 for k in range(len(words))]
                after_answer = False
        return self._expand_image_pads(ids, answer, n_image_tokens)

    def _expand_image_pads(
        self, ids: list[int], answer: list[bool], n_image_tokens: Sequence[int]
    ) -> EncodedConversation:
        n_pads = ids.count(self.image_token_id)
        if n_pads != len(n_image_tokens):
            raise ValueError(f"{n_pads} images in the conversation, but features for {len(n_image_tokens)}")
        counts = iter(n_image_tokens)
        repeats = [next(counts) if token_id == self.image_token_id else 1 for token_id in ids]
        return EncodedConversation(
            [token_id for token_id, n in zip(ids, repeats, strict=True) for _ in range(n)],
            [flag for flag, n in zip(answer, repeats, strict=True) for _ in range(n)],
        )


def _template_of_old(path: Path) -> str | None:
    """The template in the form that processors saved before transformers 4.52; None without such a file."""
    if not path.exists():
        return None
    template = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
    return template if isinstance(template, str) else None


def _content(turn: Turn, slot: str) -> str | list[dict[str, str]]:
    if turn.image is None:
        return slot
    return [{"type": "image"}, {"type": "text", "text": slot}]


def _without_added_tokens(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """A stateless copy of the tokenizer without added tokens, so it cannot produce one."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(state))

"""Configuration of a STAMP model: Qwen2-VL's plus the settings of the mask pass."""

from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import Qwen2VLConfig

SEG_TOKEN = "<|seg|>"
MASK_TOKEN = "<|mask|>"
#: Added to a Qwen2-VL tokenizer in this order, right after its own special tokens.
STAMP_TOKENS = (SEG_TOKEN, MASK_TOKEN, "<|yes|>", "<|no|>")

VisionStem = Literal["patches", "efficientnet-lite0"]
MaskHead = Literal["classifier", "shared"]


@strict
class StampConfig(Qwen2VLConfig):
    """Qwen2-VL's configuration and five more fields.

    Differences from the parent:
    - `seg_token_id`, `mask_token_id`: ids of `<|seg|>` and `<|mask|>`. Published checkpoints do not record
      them; the loader fills them in from the tokenizer.
    - `mask_position_mode`: rotary positions of the mask tokens. "sequential" (what the released code does):
      `pos(<|seg|>) + 1 + k` on all three axes. "grid": row and column on the height and width axes, like image
      patches (in the released source, but never activated there). "image": exactly those of the image's own tokens,
      so that a mask token is as far from the preceding words as its patch is.
    - `vision_stem`: turns pixels into patch vectors. "patches": Qwen2-VL's projection of each patch, as published.
      "efficientnet-lite0": a convolutional stem (`stamp.model.vision_stem`).
    - `mask_head`: what turns mask tokens into logits. "classifier": P mask tokens for each `<|seg|>`, as published.
      "shared": P mask tokens for all of an answer (`stamp.model.shared_masks`).

    `model_type` stays "qwen2_vl", as published checkpoints have it. So transformers' Auto classes would load a plain
    Qwen2-VL without the classifier: load with `StampPredictor` or `StampForSegmentation`.
    """

    text_config: Any = None  # the parent's fields; it also allows plain dicts there, which readers never see
    vision_config: Any = None
    seg_token_id: int | None = None
    mask_token_id: int | None = None
    mask_position_mode: Literal["sequential", "grid", "image"] = "sequential"
    vision_stem: VisionStem = "patches"
    mask_head: MaskHead = "classifier"

"""SimpleSeg as published, on Qwen2.5-VL: polygons as text, with transformers' own model class.

Prompt and answer follow its README (github.com/songtianhui/SimpleSeg): "Output the polygon coordinates of X in the
image.", answered by lists of [x, y] as decimals from 0 to 1 of the width and height, drawn by pycocotools and joined.
The README leaves some points open. We assume greedy decoding and the pixel limits in the checkpoint's files, send a
question without an object unchanged, and count an answer with brackets but no polygon as invalid. The published
weights have not been run here: loading is tested on random weights of the class.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoConfig, PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from benchmarks.budget import BUDGET_FIELDS
from benchmarks.checkpoints import MethodOptions
from benchmarks.datasets.coco import segmentation_mask
from benchmarks.datasets.sample import DatasetError, MaskSample, Sample
from benchmarks.fingerprint import checkpoint_sha256
from benchmarks.methods.method import Prediction
from benchmarks.provenance import provenance
from stamp.checkpoints.devices import choose_device
from stamp.checkpoints.loading import DTYPES
from stamp.checkpoints.provenance import package_versions
from stamp.checkpoints.sources import find_checkpoint
from stamp.conversation import Turn
from stamp.model.configuration_stamp import STAMP_TOKENS
from stamp.model.processing_stamp import StampProcessor

PROMPT = "Output the polygon coordinates of {} in the image."
#: The README's budget for the model on Kimi-VL.
MAX_NEW_TOKENS = 512
_NUMBER = r"\d+(?:\.\d+)?"
_POINT = rf"\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]"
_POLYGON = re.compile(rf"\[\s*{_POINT}(?:\s*,\s*{_POINT})*\s*\]")


@dataclass(frozen=True)
class SimpleSegMethod:
    """The published model. source: as given by the user; checkpoint_sha256: the hash of its folder."""

    model: Qwen2_5_VLForConditionalGeneration
    processor: StampProcessor
    max_new_tokens: int
    source: str
    checkpoint_sha256: str

    name, variant = "polygon", "published"

    @property
    def precision(self) -> str:
        """The dtype."""
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def device(self) -> torch.device:
        """See Method."""
        return self.model.device

    def prompt(self, sample: Sample) -> str:
        """Its own prompt around the bare expression, if there is one."""
        phrase = sample.phrase if isinstance(sample, MaskSample) else None
        return sample.prompt if phrase is None else PROMPT.format(phrase)

    @torch.inference_mode()
    def predict(self, image: Image.Image, prompt: str) -> Prediction:
        """See Method. transformers' `generate` does everything, so seconds per phase are unknown."""
        patches, grid = self.processor.encode_image(image)
        turns = [Turn("user", prompt, image)]
        encoded = self.processor.encode_conversation(turns, [self.processor.n_image_tokens(grid[0])])
        ids = torch.tensor([encoded.input_ids], device=self.device)
        model: Any = self.model  # transformers' type hints lack `generate`
        generated = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == self.processor.image_token_id).int(),
            pixel_values=patches.to(self.device, self.model.dtype),
            image_grid_thw=grid.to(self.device),
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
        )
        new = generated[0, ids.shape[1] :].tolist()
        ended = bool(new) and new[-1] in self._end_tokens()
        raw = self.processor.decode(new)
        mask = read_polygons(raw, (image.height, image.width))
        return Prediction(
            text=_POLYGON.sub("", raw),
            raw_output=raw,
            masks=np.zeros((0, image.height, image.width), dtype=bool) if mask is None else mask[None],
            new_tokens=len(new) - ended,
            forward_passes=len(new),
            valid=ended and (mask is not None or "[" not in raw),
            phases_s={},
        )

    def _end_tokens(self) -> set[int]:
        config: Any = self.model.generation_config
        ends = config.eos_token_id
        return {ends} if isinstance(ends, int) else set(ends or ())

    def provenance(self) -> dict[str, Any]:
        """See Method."""
        return provenance(self, self.source) | {
            "checkpoint_sha256": self.checkpoint_sha256,
            "base_sha256": None,
            **dict.fromkeys(BUDGET_FIELDS),
            "max_new_tokens": self.max_new_tokens,
        }

    def versions(self) -> dict[str, str]:
        """See `stamp.checkpoints.provenance.Measured`."""
        return package_versions() | {"device": str(self.device), "dtype": self.precision, "quantization": "none"}


def read_polygons(answer: str, size_hw: tuple[int, int]) -> np.ndarray | None:
    """The union, bool (H, W), of all polygons in an answer. None without polygons, or if one cannot be drawn."""
    polygons = [np.array(json.loads(text)) * size_hw[::-1] for text in _POLYGON.findall(answer)]
    try:
        return segmentation_mask([polygon.ravel().tolist() for polygon in polygons], size_hw) if polygons else None
    except DatasetError:
        return None


def load_simpleseg(options: MethodOptions) -> SimpleSegMethod:
    """Load --published-polygon-model. Raises ValueError: not named, not this model, or incomplete."""
    if (source := options.published_polygon_model) is None:
        raise ValueError(
            "polygon:published needs weights: name the folder or hub id of SimpleSeg on Qwen2.5-VL with "
            "--published-polygon-model, for example sthui/SimpleSeg-Qwen2.5-VL."
        )
    if options.load.quantization != "none":
        raise ValueError("polygon:published is measured without quantization.")
    folder = find_checkpoint(source)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.model_type != "qwen2_5_vl":
        raise ValueError(f"{source} is a {config.model_type!r}; polygon:published reads SimpleSeg on 'qwen2_5_vl'.")
    place = choose_device(options.load.device)
    dtype = DTYPES["bfloat16" if options.load.dtype == "auto" else options.load.dtype]
    load: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained
    model, info = load(folder, dtype=dtype, use_safetensors=True, output_loading_info=True, device_map={"": place})
    if info["missing_keys"]:
        raise ValueError(f"{source} is incomplete; missing: {sorted(info['missing_keys'])[:5]}")
    processor = StampProcessor(_with_stamp_tokens(folder), Qwen2VLImageProcessorPil.from_pretrained(folder))
    processor.limit_pixels(options.load.min_pixels, options.load.max_pixels)
    budget = options.max_new_tokens or MAX_NEW_TOKENS
    return SimpleSegMethod(model.eval(), processor, budget, source, checkpoint_sha256(folder))


def _with_stamp_tokens(folder: Path) -> PreTrainedTokenizerBase:
    """Its tokenizer plus the four tokens that StampProcessor requires; no prompt contains them."""
    tokenizer = StampProcessor.read_tokenizer(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(STAMP_TOKENS)}, replace_extra_special_tokens=False)
    return tokenizer

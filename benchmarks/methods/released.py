"""STAMP's inference as its authors released it, rebuilt on our model as the baseline of the timings.

Text is generated with a KV cache, as in ours. Then, for EACH `<|seg|>` of the answer: the vision tower runs again on
the pixels, the KV cache up to that `<|seg|>` is copied, the whole sequence is embedded again, and one mask pass
predicts one mask. That is all its extra work; decoding, mask pass and enlargement are `stamp`'s own code, so the
outputs are the same. One bug is not reproduced: the released code misses the cache entry of a `<|seg|>` on which
generation stopped, and predicts a wrong mask there.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from benchmarks.methods.teacher_forcing import Forced, decode
from stamp.conversation import MaskReady, Segmentation, Turn
from stamp.inference.answer import Answer
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.pictures.images import load_image
from stamp.predictor import StampPredictor
from stamp.refinement.refiner import refine_masks

#: The parts of its mask phase that ours does not have; both have "mask_pass".
MASK_PARTS = ("mask_vision", "mask_cache_copy", "mask_embed", "mask_pass")


def segment_released(
    predictor: StampPredictor,
    image: Image.Image | str | Path,
    prompt: str,
    max_new_tokens: int = 256,
    forced_response: Forced | None = None,
    refine: str = "auto",
) -> Segmentation:
    """Answer one prompt about one image the released way; text and masks equal those of `StampPredictor.segment`.

    forced_response: an answer given in advance, forced token by token through the same decode steps.
    In `timings_s`, "mask" is the whole mask phase, and "mask_vision", "mask_cache_copy", "mask_embed", "mask_pass" its
    parts, all in seconds. Raises: ImageError, PromptError.
    """
    predictor.check_prompt(prompt)
    clock = predictor.clock()
    encoded, pixels = predictor.images.encode_picture(load_image(image, predictor.image_limits), clock)
    turns = [Turn("user", prompt, encoded)]
    prompt_ids = predictor.processor.encode_conversation(turns, [len(encoded.embeds)]).input_ids
    stops, refiner = predictor.end_token_ids, predictor.refiner(refine)
    answer = Answer(
        predictor.model, predictor.processor, clock, prompt_ids, [encoded], end_token_ids=stops, refiner=refiner
    )
    answer.prefill()
    decode(answer, max_new_tokens, forced_response)
    if answer.state.seg_slots:
        answer.state.next_logits()  # also feeds a <|seg|> on which generation stopped
        _predict_masks(predictor.model, answer, [*prompt_ids, *answer.token_ids], pixels)
    result = answer.result(predictor.versions())
    parts = {part: clock.seconds.get(part, 0.0) for part in MASK_PARTS}
    return replace(
        result,
        timings_s=result.timings_s | {"mask": sum(parts.values())} | parts,
        forward_passes=result.forward_passes + clock.passes.get("mask_pass", 0),
    )


@torch.inference_mode()
def _predict_masks(model: StampForSegmentation, answer: Answer, sequence: Sequence[int], pixels: Tensor) -> None:
    """One pass per mask, with everything the released code repeats for it.

    sequence: ids of the prompt, with image pads expanded, and of the answer. pixels: (patches, patch_dim).
    """
    clock, image, state = answer.clock, answer.image, answer.state
    ids = torch.tensor([sequence], device=model.device)
    grid = image.grid_thw.to(model.device)
    logits = []
    for slot in state.seg_slots:
        with clock.phase("mask_vision"):
            (embeds,) = model.encode_images(pixels, grid)
        with clock.phase("mask_cache_copy"):
            cache = copy_cache(model, state.cache, slot[0] + 1)
        with clock.phase("mask_embed"):
            model.embed_prompt(ids, embeds)
        slots = torch.tensor([slot], device=model.device)
        with clock.phase("mask_pass"):
            mask = model.mask_pass(cache, slots, embeds, image.grid_hw)
        logits.append(mask.float().view(*image.grid_hw).cpu())
    grids = torch.stack(logits)
    with clock.phase("refine"):
        masks, scores = refine_masks(grids, image.image, answer.refiner)
    fields = zip(range(len(masks)), masks, grids.numpy(), scores, strict=True)
    answer.masks = [MaskReady(*values) for values in fields]


def copy_cache(model: StampForSegmentation, cache: Cache, length: int) -> DynamicCache:
    """A separate cache with the first `length` tokens of another."""
    copy = DynamicCache(config=model.config)
    for number, layer in enumerate(cache.layers):
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        copy.update(layer.keys[:, :, :length], layer.values[:, :, :length], number)  # its concatenation copies
    return copy

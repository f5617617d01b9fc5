"""The paper's optional last stage: Segment Anything redraws the coarse mask in three passes.

The coarse mask becomes 10 points inside it, 10 outside, and a 256x256 mask prompt of logits within +-6.9. SAM predicts
one mask from them, then twice more with its own low-resolution logits as the mask prompt. Three faults of the released
stage are fixed here, and kept in `released_prompts` for comparison:

- the padding of non-square images became foreground (+6.9); here it is background;
- a mask of exactly 256x256 skipped the resize and got negative logits everywhere; here it is scaled like any other;
- points came from the global random state; here they are drawn with a fixed seed, the same for every mask.

The coarse mask is better too: bicubic logits, thresholded at SAM's own size, instead of enlarged squares.
"""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from stamp.checkpoints.sources import find_checkpoint
from stamp.pictures.masks import Mask, mask_image
from stamp.pictures.resizing import enlarge_logits, fit_size

if TYPE_CHECKING:
    from transformers import SamModel

INPUT_SIDE_PX = 1024
PROMPT_SIDE_PX = 256
PASSES = 3
POINTS_PER_CLASS = 10
PROMPT_EPS = 1e-3  # logit(1 - eps) = 6.9


@dataclass(frozen=True)
class SamPrompt:
    """The prompts for SAM.

    points_xy: (n, 2) float32, (x, y) in pixels of SAM's input. labels: (n,) int64, 1 inside the mask, 0 outside.
    mask_logits: (256, 256) float32 over the padded input.
    """

    points_xy: Tensor
    labels: Tensor
    mask_logits: Tensor


class SamRefiner:
    """`sam`: see the module docstring. Float32; an image is encoded once for all its masks.

    The features of the last image are kept for masks that come one by one or in later turns of a conversation.
    """

    name = "sam"

    def __init__(self, model: "SamModel", *, seed: int = 0, released_prompts: bool = False):
        from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

        self.model = model.eval()
        self.seed = seed
        self.released_prompts = released_prompts
        self.processor = SamImageProcessorPil()
        self._last: tuple[weakref.ref[Image.Image], Tensor] | None = None

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path, device: str | torch.device = "cpu") -> Self:
        """Load the safetensors of a transformers SamModel (facebook/sam-vit-huge, -large, -base or a folder).

        Raises: CheckpointError if it cannot be found or downloaded; ValueError if it is another model or incomplete;
        OSError if there is nothing to read.
        """
        from transformers import AutoConfig, SamModel

        folder = find_checkpoint(path_or_id)
        config = AutoConfig.from_pretrained(folder)
        if config.model_type != "sam":
            raise ValueError(f"{path_or_id} holds a model of type {config.model_type!r}; a SamModel ('sam') is needed")
        config.mask_decoder_config.layer_norm_eps = 1e-5  # as in the official code; transformers' default is 1e-6
        load: Any = SamModel.from_pretrained
        model, info = load(folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True)
        if info["missing_keys"]:
            raise ValueError(f"{path_or_id} is not a complete SamModel; missing: {sorted(info['missing_keys'])[:5]}")
        return cls(model.to(device))

    @torch.inference_mode()
    def __call__(self, logits: Tensor, image: Image.Image) -> Iterator[Tensor]:
        """See Refiner. An empty or full coarse mask gives SAM no information, so it is only enlarged."""
        size_hw = image.height, image.width
        for plane in logits:
            coarse = self._coarse_mask(plane, size_hw)
            if coarse.all() or not coarse.any():
                yield enlarge_logits(plane[None], size_hw)[0]
                continue
            *_, (mask_logits, _) = self.passes(self.encode(image), self.prompt(coarse))
            yield self.to_image_size(mask_logits, size_hw)

    @torch.inference_mode()
    def encode(self, image: Image.Image) -> Tensor:
        """Features (1, C, 64, 64) of an RGB image of any size; those of the last image are cached."""
        last = self._last  # read once: another thread may replace it
        if last is not None and last[0]() is image:
            return last[1]
        pixels = self.processor(images=[image], return_tensors="pt")["pixel_values"]
        features: Tensor = self.model.get_image_embeddings(pixels.to(self.model.device))
        self._last = weakref.ref(image), features
        return features

    def prompt(self, coarse: Mask) -> SamPrompt:
        """Points and mask prompt of a boolean (h, w) mask of any size with the image's aspect ratio."""
        points_xy, labels = draw_points(coarse, torch.Generator().manual_seed(self.seed))
        input_h, input_w = fit_size(coarse.shape, INPUT_SIDE_PX)
        scale = torch.tensor([input_w / coarse.shape[1], input_h / coarse.shape[0]], dtype=torch.float64)
        return SamPrompt((points_xy * scale).float(), labels, mask_prompt(coarse, released=self.released_prompts))

    @torch.inference_mode()
    def passes(self, features: Tensor, prompt: SamPrompt) -> Iterator[tuple[Tensor, float]]:
        """The result of each of the three passes: logits (256, 256) over the padded input, and SAM's predicted IoU."""
        device = self.model.device
        mask_logits = prompt.mask_logits.to(device)
        for _ in range(PASSES):
            output = self.model(
                image_embeddings=features,
                input_points=prompt.points_xy[None, None].to(device),
                input_labels=prompt.labels[None, None].to(device),
                input_masks=mask_logits[None, None],
                multimask_output=False,
            )
            mask_logits = output.pred_masks[0, 0, 0]
            yield mask_logits, float(output.iou_scores)

    def to_image_size(self, mask_logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Logits (256, 256) of a pass -> (H, W) float32 on the CPU, without the padding."""
        (full,) = self.processor.post_process_masks(
            [mask_logits[None, None]], [size_hw], [fit_size(size_hw, INPUT_SIDE_PX)], binarize=False
        )
        logits: Tensor = full[0, 0].cpu()
        return logits

    def _coarse_mask(self, plane: Tensor, size_hw: tuple[int, int]) -> Mask:
        """Boolean mask of (gh, gw) logits: at SAM's size from bicubic logits, or at the image's size as released."""
        if self.released_prompts:
            squares = functional.interpolate((plane > 0)[None, None].float(), size=size_hw, mode="nearest")
            return squares[0, 0].bool().numpy()
        mask: Mask = (enlarge_logits(plane[None], fit_size(size_hw, INPUT_SIDE_PX))[0] > 0).numpy()
        return mask


def draw_points(mask: Mask, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Up to 10 pixels inside a boolean (h, w) mask, then up to 10 outside, without repetition.

    Returns (x, y) in pixels of the mask, (n, 2) int64, and labels, (n,) int64: 1 inside, 0 outside.
    """
    points, labels = [], []
    for label in (1, 0):
        pixels_yx = torch.from_numpy(mask == bool(label)).nonzero()
        chosen = pixels_yx[torch.randperm(len(pixels_yx), generator=generator)[:POINTS_PER_CLASS]]
        points.append(chosen.flip(1))
        labels.append(torch.full((len(chosen),), label))
    return torch.cat(points), torch.cat(labels)


def mask_prompt(mask: Mask, *, released: bool = False) -> Tensor:
    """Logits (256, 256) float32 of a boolean (h, w) mask: its longer side fills the square, the rest is padding.

    released: with the faults of the released stage (see the module docstring).
    """
    height, width = fit_size(mask.shape, PROMPT_SIDE_PX)
    picture = mask_image(mask).resize((width, height), Image.Resampling.BILINEAR)
    share = np.full((PROMPT_SIDE_PX, PROMPT_SIDE_PX), 1.0 if released else 0.0)
    share[:height, :width] = np.asarray(picture) / 255
    if released and mask.shape == share.shape:
        share = share / 255
    return torch.from_numpy(share).logit(eps=PROMPT_EPS).float()

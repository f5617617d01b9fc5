"""Four ways from an answer to a mask, timed on given answers, so that the cost does not depend on the weights.

Every token of an answer takes its decode step (`benchmarks.methods.teacher_forcing`). Decode steps for a mask's text
count as the mask phase, and so does predicting a mask without text: STAMP's mask pass, the embedding's decoder. Turning
it into pixels counts as refine. The text of random weights means nothing, so a stand-in of the same size is painted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from benchmarks.baselines.embedding_decoder import EmbeddingDecoder
from benchmarks.baselines.patches import draw_patches
from benchmarks.methods.teacher_forcing import decode
from stamp.inference.answer import Answer
from stamp.pictures.masks import Mask

#: "[0.123, 0.456], " with one token per digit, as in Qwen2.
TOKENS_A_VERTEX = 12
#: Text4Seg's labels: 16 x 16 per picture.
LABELS_HW = (16, 16)


@dataclass(frozen=True)
class Paradigm:
    """One way. text_tokens: length of the mask's text, 0 if it is predicted without text.

    mask: makes the bool (H, W) mask of a finished answer from the hidden state (D,) that chose its last token.
    """

    name: str
    text_tokens: int
    mask: Callable[[Answer, Tensor], Mask]


def answer_by(paradigm: Paradigm, answer: Answer, talk: list[int], filler: list[int], text_tokens: int) -> Mask:
    """Write an answer token by token, and make its mask.

    talk: the words before the mask. filler: tokens repeated until the mask's text has `text_tokens` tokens. A mask
    without text has one token, `<|seg|>`, which counts as talk.
    """
    with lm_head_inputs(answer) as hidden:
        decode(answer, len(talk), talk)
        if paradigm.text_tokens:
            decoded = answer.clock.seconds.get("decode", 0.0)
            decode(answer, text_tokens, [filler[index % len(filler)] for index in range(text_tokens)])
            spent = answer.clock.seconds["decode"] - decoded
            answer.clock.seconds |= {"decode": decoded, "mask": spent}
        else:
            decode(answer, 1, [answer.processor.seg_token_id])
        chose_last = hidden[-1]
        decode(answer, 1, ())  # chooses the end token
    return paradigm.mask(answer, chose_last)


@contextmanager
def lm_head_inputs(answer: Answer) -> Iterator[list[Tensor]]:
    """A list with the hidden state (D,) of the last pass that produced the logits."""
    kept: list[Tensor] = []

    def keep(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        kept[:] = [inputs[0].view(-1, inputs[0].shape[-1])[-1]]

    hook = answer.state.model.lm_head.register_forward_pre_hook(keep)
    try:
        yield kept
    finally:
        hook.remove()


# -- from an answer to pixels --------------------------------------------------------------------------------------


def all_mask(answer: Answer, _: Tensor) -> Mask:
    """STAMP: one pass over all mask tokens, then the refinement."""
    (mask,) = answer.predict_masks()
    return mask.mask


def polygon(vertices: int) -> Callable[[Answer, Tensor], Mask]:
    """Vertices as text, then filled: an ellipse with the same number of vertices stands in."""

    def fill(answer: Answer, _: Tensor) -> Mask:
        height, width = answer.image.size_hw
        with answer.clock.phase("refine"):
            angles = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
            outline = np.stack([width * (0.5 + 0.3 * np.cos(angles)), height * (0.5 + 0.3 * np.sin(angles))], axis=1)
            canvas = Image.new("1", (width, height))
            ImageDraw.Draw(canvas).polygon([(x, y) for x, y in outline.tolist()], fill=1)
            return np.asarray(canvas, dtype=bool)

    return fill


def patch_text(answer: Answer, _: Tensor) -> Mask:
    """A label for each of 16 x 16 patches as text, enlarged with the same refinement as STAMP's grid."""
    y, x = np.indices(LABELS_HW)
    inside = np.hypot((y + 0.5) / LABELS_HW[0] - 0.5, (x + 0.5) / LABELS_HW[1] - 0.5) < 0.3
    with answer.clock.phase("refine"):
        return draw_patches(inside, answer.image.image, answer.refiner)


def embedding(decoder: EmbeddingDecoder) -> Callable[[Answer, Tensor], Mask]:
    """One token's hidden state through a mask decoder, then bilinear enlargement."""

    @torch.inference_mode()
    def predict(answer: Answer, hidden: Tensor) -> Mask:
        image = answer.image
        with answer.clock.phase("mask"):
            logits = decoder(hidden[None], image.embeds[None], image.grid_hw).float().cpu()
        with answer.clock.phase("refine"):
            enlarged = functional.interpolate(logits[None], size=image.size_hw, mode="bilinear")
            return (enlarged[0, 0] > 0).numpy()

    return predict

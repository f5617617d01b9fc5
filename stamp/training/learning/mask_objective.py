"""How requests for masks are answered, and the mask targets that their rows train."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.attention_targets import HEADS, Head, Written
from stamp.training.learning.cells import Grid
from stamp.training.talk.exchange import Exchange


@dataclass(frozen=True)
class LearnedAnswer:
    """The tokens of an answer to learn, without the end of the turn, and those of its masks."""

    token_ids: tuple[int, ...]
    written: tuple[Written, ...] = ()


class MaskObjective(Protocol):
    """One way to make a model answer with masks; scenes, questions and all other losses are the same for each.

    mask_tokens: whether mask tokens, one per cell, follow each row; they have attention targets. whole_answers: whether
    a row trains all masks of one of its answers, with the same mask tokens, or a single mask.
    """

    mask_tokens: bool = False
    whole_answers: bool = False

    @property
    def name(self) -> str:
        """Goes into the run's files."""

    def class_of(self, checkpoint: Path) -> type[StampForSegmentation]:
        """The class of a checkpoint's weights: a backbone's, or those of a model that this way has trained."""
        return StampForSegmentation

    def adopt(self, model: StampForSegmentation, processor: StampProcessor) -> StampForSegmentation:
        """The model to train, from a backbone or a trained model; new words go into the processor's tokenizer too."""

    def blocks(self, model: StampForSegmentation) -> nn.Module | None:
        """Transformer layers that belong to this way alone, or None; they learn like those of the text model."""
        return None

    def words(self, processor: StampProcessor) -> Sequence[int]:
        """Ids of the tokens that belong to this way alone; their embeddings are learned even if the others stay."""

    def answer(self, exchange: Exchange, grid: Grid, processor: StampProcessor) -> LearnedAnswer:
        """The answer to learn."""

    def target(self, grid: Grid, mask_ids: Sequence[int]) -> NDArray[np.float32] | None:
        """The target of one mask's logits for `mask_loss`: soft coverage 0..1, flat and row-major, one per logit.
        None if there are only words to learn.
        """


@dataclass(frozen=True)
class AllMask(MaskObjective):
    """STAMP's own objective: `<|seg|>`, and one logit per cell of the grid."""

    name = "stamp"
    mask_tokens = True

    def adopt(self, model: StampForSegmentation, processor: StampProcessor) -> StampForSegmentation:
        """See MaskObjective. A backbone's mask tokens start with attention that it has already learned, in reverse.

        There a noun attends to the cells that show it; with queries and keys swapped, a cell attends to its noun.
        """
        if not bool(model.classifier.bias.any()):  # masks were never trained
            _swap_queries_and_keys(model)
        return model

    def words(self, processor: StampProcessor) -> Sequence[int]:
        """See MaskObjective."""
        return processor.seg_token_id, processor.mask_token_id

    def answer(self, exchange: Exchange, grid: Grid, processor: StampProcessor) -> LearnedAnswer:
        """See MaskObjective."""
        return LearnedAnswer(tuple(processor.encode_response(exchange.answer)))

    def target(self, grid: Grid, mask_ids: Sequence[int]) -> NDArray[np.float32]:
        """(P,), see MaskObjective."""
        return grid.cover(mask_ids)


@dataclass(frozen=True)
class SharedMasks(AllMask):
    """All masks of an answer from one set of mask tokens. seed: for the head's initial weights.

    Each `<|seg|>` also learns to attend to the cells of its object, as the tokens of written masks do.
    """

    seed: int = 0
    name = "stamp_shared"
    whole_answers = True

    def adopt(self, model: StampForSegmentation, processor: StampProcessor) -> StampForSegmentation:
        """See MaskObjective and AllMask. The shared head begins with the masks of the classifier."""
        super().adopt(model, processor).share_mask_tokens(self.seed)
        return model


@torch.no_grad()
def _swap_queries_and_keys(model: StampForSegmentation) -> None:
    """Copy the queries of the CELLS head to the keys of the NAMED head, and its keys to the queries."""
    (layer, (source,)), (_, (head,)) = HEADS[Head.CELLS], HEADS[Head.NAMED]
    attention: Any = model.model.language_model.layers[layer].self_attn
    rows = torch.arange(attention.head_dim)
    for to, of in ((attention.q_proj, attention.k_proj), (attention.k_proj, attention.q_proj)):
        for part in ("weight", "bias"):
            taken = getattr(of, part)[source * attention.head_dim + rows].clone()
            getattr(to, part)[head * attention.head_dim + rows] = taken

"""The baselines as objectives of the trainer. STAMP's own are in `stamp.training.learning.mask_objective`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmarks.baselines.embedding import EmbeddingForSegmentation
from benchmarks.baselines.embedding_decoder import UPSCALE
from benchmarks.baselines.location_tokens import add_tokens, ids_of, knows
from benchmarks.baselines.mask_text import MaskText
from benchmarks.baselines.patch_tokens import PatchTokens
from benchmarks.baselines.polygon_tokens import PolygonTokens
from stamp.model.configuration_stamp import SEG_TOKEN, StampConfig
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.pictures.masks import coverage_grid
from stamp.training.learning.attention_targets import Written
from stamp.training.learning.cells import Grid, grid_of
from stamp.training.learning.mask_objective import AllMask, LearnedAnswer, MaskObjective, SharedMasks
from stamp.training.learning.nano import CELL_PX
from stamp.training.talk.exchange import Exchange


@dataclass(frozen=True)
class WrittenMasks(MaskObjective):
    """Masks as words: location tokens replace STAMP's `<|seg|>` and are learned like other words."""

    form: MaskText

    @property
    def name(self) -> str:
        """The name of the format."""
        return self.form.name

    def adopt(self, model: StampForSegmentation, processor: StampProcessor) -> StampForSegmentation:
        """See MaskObjective."""
        if not knows(processor, self.form):
            add_tokens(model, processor, self.form)
        return model

    def words(self, processor: StampProcessor) -> Sequence[int]:
        """See MaskObjective."""
        return ids_of(processor, self.form.vocabulary)

    def answer(self, exchange: Exchange, grid: Grid, processor: StampProcessor) -> LearnedAnswer:
        """See MaskObjective."""
        first, *rest = exchange.answer.split(SEG_TOKEN)
        ids = processor.encode_plain(first)
        written: list[Written] = []
        for mask_ids, words in zip(exchange.targets, rest, strict=True):
            tokens = self.form.tokens(np.isin(grid.scene.labels, mask_ids))
            cells, places = grid.cover(mask_ids), self.form.places(tokens, grid_of(grid.scene))
            written += [Written(len(ids) + n, cells, place) for n, place in enumerate(places)]
            ids += ids_of(processor, tokens) + processor.encode_plain(words)
        return LearnedAnswer(tuple(ids), tuple(written))

    def target(self, grid: Grid, mask_ids: Sequence[int]) -> None:
        """See MaskObjective."""
        return


@dataclass(frozen=True)
class EmbeddingMasks(MaskObjective):
    """Masks from the hidden state of `<|seg|>`. seed: for the decoder's initial weights.

    Each `<|seg|>` also learns to attend to the cells of its object, as the tokens of written masks do.
    """

    seed: int = 0
    name = "embedding"

    def class_of(self, checkpoint: Path) -> type[StampForSegmentation]:
        """See MaskObjective."""
        config = StampConfig.from_pretrained(checkpoint)
        trained = EmbeddingForSegmentation.__name__ in (config.architectures or ())
        return EmbeddingForSegmentation if trained else StampForSegmentation

    def adopt(self, model: StampForSegmentation, processor: StampProcessor) -> StampForSegmentation:
        """See MaskObjective."""
        if isinstance(model, EmbeddingForSegmentation):
            return model
        return EmbeddingForSegmentation.from_backbone(model, self.seed)

    def blocks(self, model: StampForSegmentation) -> nn.Module | None:
        """See MaskObjective."""
        assert isinstance(model, EmbeddingForSegmentation)
        return model.mask_decoder.decoder.transformer

    def words(self, processor: StampProcessor) -> Sequence[int]:
        """See MaskObjective."""
        return (processor.seg_token_id,)

    def answer(self, exchange: Exchange, grid: Grid, processor: StampProcessor) -> LearnedAnswer:
        """See MaskObjective."""
        ids = processor.encode_response(exchange.answer)
        segs = [n for n, token_id in enumerate(ids) if token_id == processor.seg_token_id]
        masks = zip(segs, exchange.targets, strict=True)
        return LearnedAnswer(tuple(ids), tuple(Written(seg + 1, grid.cover(mask_ids)) for seg, mask_ids in masks))

    def target(self, grid: Grid, mask_ids: Sequence[int]) -> NDArray[np.float32]:
        """(16 P,), see MaskObjective."""
        labels = grid.scene.labels
        height, width = labels.shape
        cells_hw = UPSCALE * height // CELL_PX, UPSCALE * width // CELL_PX
        return coverage_grid(np.isin(labels, mask_ids), cells_hw).ravel()


#: By the name of the method.
OBJECTIVES: dict[str, MaskObjective] = {
    objective.name: objective
    for objective in (
        AllMask(),
        SharedMasks(),
        WrittenMasks(PolygonTokens()),
        WrittenMasks(PatchTokens()),
        EmbeddingMasks(),
    )
}

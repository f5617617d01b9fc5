"""The baselines as objectives of the trainer. STAMP's own is `stamp.training.learning.mask_objective.AllMask`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines.embedding import EmbeddingForSegmentation
from benchmarks.baselines.embedding_decoder import UPSCALE
from benchmarks.baselines.mask_text import MaskText
from benchmarks.baselines.patches import PatchText
from benchmarks.baselines.polygons import PolygonText
from stamp.model.configuration_stamp import SEG_TOKEN
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.pictures.masks import coverage_grid
from stamp.training.learning.cells import Grid
from stamp.training.learning.mask_objective import AllMask, MaskObjective
from stamp.training.learning.nano import CELL_PX
from stamp.training.scenes.scenes import Scene
from stamp.training.talk.exchange import Exchange

#: Finds the object's name before a mask: "... mask for the white horse: <|seg|>".
_LABEL = re.compile(r"(?:for|and|,) the ([^:]+): $")


@dataclass(frozen=True)
class WrittenMasks:
    """Masks as words: the text of a mask replaces STAMP's `<|seg|>` and is learned like other words."""

    form: MaskText
    mask_tokens = False

    @property
    def name(self) -> str:
        """The name of the format."""
        return self.form.name

    def adopt(self, model: StampForSegmentation) -> StampForSegmentation:
        """See MaskObjective."""
        return model

    def answer(self, exchange: Exchange, scene: Scene) -> str:
        """See MaskObjective. Raises ValueError for a mask without a name before it."""
        first, *rest = exchange.answer.split(SEG_TOKEN)
        answer = first
        for mask_ids, words in zip(exchange.targets, rest, strict=True):
            if (label := _LABEL.search(answer)) is None:
                raise ValueError(f"no name before a mask: {exchange.answer!r}")
            answer += self.form.write(np.isin(scene.labels, mask_ids), label[1]) + words
        return answer

    def target(self, grid: Grid, mask_ids: Sequence[int]) -> None:
        """See MaskObjective."""
        return


@dataclass(frozen=True)
class EmbeddingMasks:
    """Masks from the hidden state of `<|seg|>`. seed: for the decoder's initial weights."""

    seed: int = 0
    name = "embedding"
    mask_tokens = False

    def adopt(self, model: StampForSegmentation) -> StampForSegmentation:
        """See MaskObjective."""
        return EmbeddingForSegmentation.from_backbone(model, self.seed)

    def answer(self, exchange: Exchange, scene: Scene) -> str:
        """See MaskObjective."""
        return exchange.answer

    def target(self, grid: Grid, mask_ids: Sequence[int]) -> NDArray[np.float32]:
        """(16 P,), see MaskObjective."""
        labels = grid.scene.labels
        height, width = labels.shape
        cells_hw = UPSCALE * height // CELL_PX, UPSCALE * width // CELL_PX
        return coverage_grid(np.isin(labels, mask_ids), cells_hw).ravel()


#: By the name of the method.
OBJECTIVES: dict[str, MaskObjective] = {
    objective.name: objective
    for objective in (AllMask(), WrittenMasks(PolygonText()), WrittenMasks(PatchText()), EmbeddingMasks())
}

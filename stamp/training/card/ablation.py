"""What matters in all-mask prediction: each variant trains from the same backbone with the same small budget.

The paper reports 79.1 / 76.2 / 73.3 for hybrid attention / causal attention / no patch features, at 2B. Here: mean IoU
on the grid, for masks in forced answers on validation scenes. Raw rows first, scores from the rows.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from stamp.model.attention import hybrid_attention
from stamp.model.configuration_stamp import StampConfig
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.card.evaluate import interval_of_mean
from stamp.training.card.study import measured_once, write_results
from stamp.training.learning.config import Stage, TrainingConfig
from stamp.training.learning.data import BatchMaker, BatchPlan
from stamp.training.learning.mask_objective import AllMask
from stamp.training.learning.objectives import grid_ious, run_rows
from stamp.training.learning.processes import TrainingProcesses
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.scenes import VALIDATION_SEEDS

ROWS_FILE, RECORD_FILE = "ablation.jsonl", "ablation.json"
#: Scenes for training and for measuring; no other stage uses them.
TRAIN_OFFSET, VALIDATION_OFFSET = 6 * 10**8, 3 * 10**5


class CausalMaskStamp(StampForSegmentation):
    """A mask token sees only the mask tokens before it."""

    def row_attention(self, attention_mask: Tensor, seg_index: Tensor | None, n_mask_tokens: int) -> Tensor:
        """See `hybrid_attention`."""
        allowed = hybrid_attention(attention_mask, seg_index, n_mask_tokens)
        length = attention_mask.shape[1]
        allowed[:, :, length:, length:] = allowed[:, :, length:, length:].tril()
        return allowed


class PlainQueryStamp(StampForSegmentation):
    """Mask tokens do not know what their patch shows: each is just the embedding of `<|mask|>`."""

    def mask_queries(self, image_embeds: Tensor) -> Tensor:
        """(..., P, H) -> (..., P, H), the same for every patch."""
        return super().mask_queries(torch.zeros_like(image_embeds))


class SequentialStamp(StampForSegmentation):
    """Mask tokens have sequential positions, like words."""

    def __init__(self, config: StampConfig):
        config = copy.deepcopy(config)
        config.mask_position_mode = "sequential"
        super().__init__(config)


@dataclass(frozen=True)
class Variant(AllMask):
    """All-mask training of a changed model. takes: how it differs from the full method, in words."""

    model_class: type[StampForSegmentation] = StampForSegmentation
    takes: str = "nothing"

    def adopt(self, model: StampForSegmentation, processor: StampProcessor) -> StampForSegmentation:
        """The same weights in the changed model."""
        changed = self.model_class(model.config)
        changed.load_state_dict(model.state_dict())
        return super().adopt(changed, processor)


VARIANTS = {
    "full": Variant(),
    "causal": Variant(CausalMaskStamp, "mask tokens see only those before them"),
    "no patch features": Variant(PlainQueryStamp, "mask tokens do not get their patch's feature"),
    "sequential positions": Variant(SequentialStamp, "mask tokens are numbered in a row, not by row and column"),
}


@dataclass(frozen=True)
class AblationPlan:
    """The equal budget: steps of `images` pictures with about `grid` cells per side, then `batches` to measure."""

    backbone: Path
    styles: tuple[str, ...]
    steps: int = 300
    grid: int = 12
    images: int = 4
    batches: int = 50
    rate: float = 7e-4
    variants: dict[str, Variant] = field(default_factory=lambda: VARIANTS)

    def config(self) -> TrainingConfig:
        """One stage for masks and words."""
        plan = BatchPlan(self.grid, self.images, 1, 1, 6, seed_offset=TRAIN_OFFSET, styles=self.styles)
        stage = Stage("ablation", "joint", plan, self.steps, self.rate, self.rate / 2, max(1, self.steps // 20), 0.7)
        return TrainingConfig((stage,), log_every=min(20, self.steps))


def run_ablation(plan: AblationPlan, art: ArtLibrary, out: Path, processes: TrainingProcesses) -> list[dict[str, Any]]:
    """Train and measure every variant that was not measured before. Rows: variant, scene seed, IoU."""

    def train_and_measure(name: str, folder: Path) -> list[dict[str, Any]]:
        masks = plan.variants[name]
        trainer = Trainer(
            plan.config(), art, folder, processes.device, init_from=plan.backbone, processes=processes, masks=masks
        )
        trainer.resume()
        trainer.run()
        return [{"variant": name, **row} for row in measure(trainer, plan)]

    return measured_once(plan.variants, ROWS_FILE, out, train_and_measure)


@torch.no_grad()
def measure(trainer: Trainer, plan: AblationPlan) -> list[dict[str, Any]]:
    """IoU on the grid of one mask per picture, on validation scenes."""
    rows_plan = replace(trainer.config.stages[0].plan, seed_offset=VALIDATION_OFFSET, text_rows=0)
    masks, seeds = trainer.masks, VALIDATION_SEEDS
    maker = BatchMaker(rows_plan, trainer.processor, trainer.art, plan.batches, masks=masks, seeds=seeds)
    trainer.model.eval()
    rows = []
    for number, batch in enumerate(DataLoader(maker, batch_size=None)):
        batch = batch.to(trainer.device)
        logits = run_rows(trainer.model, batch.mask_rows, batch, trainer.features(batch)).mask_logits
        assert logits is not None
        for index, iou in enumerate(grid_ious(logits, batch.mask_rows.target).tolist()):
            rows.append({"seed": maker.first_seed + number * plan.images + index, "iou": iou})
    trainer.model.train()
    return rows


def write_ablation(rows: Sequence[dict[str, Any]], provenance: dict[str, Any], folder: Path) -> str:
    """Write `ablation.jsonl` and `ablation.json` (scores with intervals) into a folder; returns the table."""
    ious: dict[str, list[float]] = {}
    for row in rows:
        ious.setdefault(row["variant"], []).append(row["iou"])
    record = {"provenance": provenance, "scores": {name: interval_of_mean(values) for name, values in ious.items()}}
    write_results(rows, ROWS_FILE, record, RECORD_FILE, folder)
    return ablation_table(record)


def ablation_table(record: dict[str, Any]) -> str:
    """Markdown: one line per variant."""
    lines = ["| variant | what it takes away | mean IoU on the grid | 95 % interval | n |", "|---|---|---|---|---|"]
    for name, score in record["scores"].items():
        mean, low, high = (f"{score[key]:.3f}" for key in ("mean", "low", "high"))
        lines.append(f"| {name} | {VARIANTS[name].takes} | {mean} | {low} - {high} | {score['n']} |")
    return "\n".join(lines)

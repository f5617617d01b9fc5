"""How the compared methods are trained: the same scenes, exchanges, steps and choice of rates for each."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.budget import pictures_seen
from benchmarks.checkpoints import CHECKPOINTS
from benchmarks.training.objectives import OBJECTIVES
from stamp.training.learning.batch import Batch
from stamp.training.learning.config import Stage, TrainingConfig
from stamp.training.learning.data import BatchMaker, BatchPlan
from stamp.training.learning.recipes import STYLES
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.scenes import VALIDATION_SEEDS

WARMUP_SHARE, DECAY_SHARE = 0.03, 0.7
#: For scenes that the nano's own training does not have; the backbone's first 3,000 are among them, and the sweep's
#: pictures come again in the training.
SEED_OFFSET = 5 * 10**8
#: For choosing a rate: apart from the seeds for evaluation (the first ones) and for the scene sets (the last ones).
CHOICE_SEEDS = range(VALIDATION_SEEDS.start + 10**5, VALIDATION_SEEDS.start + 2 * 10**5)
#: How likely another exchange comes before the request whose mask is trained, and how many: rows of like length.
EARLIER, MOST_EARLIER = 0.75, 2
#: Of a training that goes on: how many times as often a request asks for several things: only such
#: answers have several masks, and few of the first training's requests were of that kind.
SEVERAL_ONWARD = 3.0


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained and for how long.

    methods: keys of `OBJECTIVES`, which learn from the same pictures. backbone: the checkpoint that all start from; its
    vision tower stays as it is. steps: of the whole training; sweep_steps: of the short one for each rate. grid:
    approximate cells per side. images: per step and process. photographs: share of them, if there are any. points: how
    often the learning curve is measured. compile: torch.compile the text models. onward: a folder with a checkpoint of
    each method, named as in `assets/`, to go on from instead.
    """

    methods: tuple[str, ...]
    backbone: Path
    steps: int
    sweep_steps: int
    rates: tuple[float, ...]
    grid: int = 12
    images: int = 8
    photographs: float = 0.35
    validation_batches: int = 16
    points: int = 6
    styles: tuple[str, ...] = STYLES
    compile: bool = False
    onward: Path | None = None

    def __post_init__(self) -> None:
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods must be distinct, got {self.methods}")
        for method in self.methods:
            if method not in OBJECTIVES:
                raise ValueError(f"method must be one of {', '.join(OBJECTIVES)}, got {method!r}")
        for name in ("steps", "sweep_steps", "validation_batches", "points"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not self.rates or min(self.rates) <= 0 or len(set(self.rates)) < len(self.rates):
            raise ValueError(f"rates must be distinct and above 0, got {self.rates}")

    def start_of(self, method: str) -> Path:
        """The checkpoint that a method starts from."""
        return self.backbone if self.onward is None else self.onward / CHECKPOINTS[method]

    @cached_property
    def seen_before(self) -> int:
        """Pictures that the methods have seen since the backbone. Raises ValueError if their numbers differ."""
        return 0 if self.onward is None else pictures_seen({name: self.start_of(name) for name in self.methods})

    def config(self, rate: float, steps: int) -> TrainingConfig:
        """One stage: a row for each picture, with a request for masks after one or two other exchanges."""
        plan = BatchPlan(
            self.grid,
            self.images,
            1,
            0,
            0,
            seed_offset=SEED_OFFSET + self.seen_before,
            styles=self.styles,
            photographs=self.photographs,
            earlier=EARLIER,
            most_earlier=MOST_EARLIER,
            several=1.0 if self.onward is None else SEVERAL_ONWARD,
        )
        warmup = max(1, round(WARMUP_SHARE * steps))
        return TrainingConfig(
            (Stage("masks", "joint", plan, steps, rate, 0.0, warmup, DECAY_SHARE),),
            compile=self.compile,
            log_every=min(20, steps),
        )


def choice_batches(trainer: Trainer, n_batches: int) -> Iterator[Batch]:
    """Batches like those of training, from `CHOICE_SEEDS`, laid out for the trainer's objective."""
    (stage,) = trainer.config.stages
    plan = replace(stage.plan, seed_offset=0)
    maker = BatchMaker(plan, trainer.processor, trainer.art, n_batches, masks=trainer.masks, seeds=CHOICE_SEEDS)
    return iter(DataLoader(maker, batch_size=None))


@torch.no_grad()
def validation_losses(trainer: Trainer, n_batches: int) -> dict[str, float]:
    """Mean of each loss and of each displayed figure, on batches that training does not see."""
    (stage,) = trainer.config.stages
    trainer.model.eval()
    rows = []
    for batch in choice_batches(trainer, n_batches):
        with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.bf16):
            losses, shown = trainer.losses(stage, batch.to(trainer.device))
        rows.append({name: float(value) for name, value in (losses | shown).items()})
    trainer.model.train()
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def choice_score(losses: dict[str, float]) -> float:
    """The score that chooses the rate, lower is better: the losses of words and masks, without auxiliary losses."""
    return losses["text"] + losses.get("mask", 0.0)


def best_rate(rows: Sequence[Mapping[str, Any]]) -> float:
    """The rate of a sweep with the lowest score. Raises ValueError if no score is finite."""
    finished = [row for row in rows if math.isfinite(row["score"])]
    if not finished:
        raise ValueError(
            f"no rate of {[row['rate'] for row in rows]} gave a finite loss; try smaller ones with --rates"
        )
    best: float = min(finished, key=lambda row: float(row["score"]))["rate"]
    return best

"""Trains several methods at once on the very same pictures.

Scenes are composed once for all of them, and their common vision tower, which stays frozen, sees each picture once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from stamp.training.learning.batch import Batch
from stamp.training.learning.data import BatchMaker
from stamp.training.learning.loader import loader_of
from stamp.training.learning.trainer import Trainer


class SharedScenes(Dataset[list[Batch]]):
    """Each step's batches, one for each of some makers with the same plan; only the first has the pictures."""

    def __init__(self, makers: Sequence[BatchMaker]):
        self.makers = makers

    def __len__(self) -> int:
        return len(self.makers[0])

    def __getitem__(self, step: int) -> list[Batch]:
        scenes = self.makers[0].scenes(step)
        return [maker.batch(scenes) for maker in self.makers]


def train_together(trainers: Sequence[Trainer], after_step: Callable[[int], None] = lambda step: None) -> None:
    """Run the only stage of each trainer to its end; save every few minutes and at the end.

    All have the same plan, steps and tower. after_step: called with the number of steps done. Trainers that a kill has
    left at different steps wait for the others. Raises ValueError if a tower would change; KeyboardInterrupt when asked
    to stop, after the step in progress and a save.
    """
    stages = [trainer.config.stages[0] for trainer in trainers]
    if any(stage.vision_lr for stage in stages):
        raise ValueError("methods can only share pictures if their vision tower stays as it is")
    lead, first = trainers[0], min(trainer.progress.step for trainer in trainers)
    for trainer, stage in zip(trainers, stages, strict=True):
        trainer.start(stage)

    def save() -> None:
        for trainer in trainers:
            trainer.save()

    last_save = time.monotonic()
    quiet = lead.processes.rank > 0
    bar = tqdm(total=stages[0].steps, initial=first, desc="together", unit="step", mininterval=5, disable=quiet)
    scenes = SharedScenes([trainer.maker(stages[0], trainer is lead) for trainer in trainers])
    for step, batches in enumerate(loader_of(scenes, first, lead.processes, lead.workers), start=first):
        features = seen(lead, batches[0])
        for trainer, stage, batch in zip(trainers, stages, batches, strict=True):
            if trainer.progress.step == step:
                trainer.advance(stage, step, replace(batch, features=features))
        bar.update()
        after_step(step + 1)
        lead.processes.stop_if_asked(save)
        if time.monotonic() - last_save > 60 * lead.config.checkpoint_minutes:
            save()
            last_save = time.monotonic()
    save()
    bar.close()


@torch.no_grad()
def seen(trainer: Trainer, batch: Batch) -> Tensor:
    """(N, P, H) float32 image features of a batch's pictures."""
    with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.bf16):
        return trainer.features(batch.to(trainer.device)).float()

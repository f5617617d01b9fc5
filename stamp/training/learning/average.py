"""The mean of checkpoints of one lineage: often better than each of them ("model soups", arXiv 2203.05482)."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from stamp.checkpoints.loading import stored_shapes
from stamp.checkpoints.sources import NOUNS_FILE
from stamp.files import check_writable
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.checkpoint import export_checkpoint


@torch.no_grad()
def average(models: Sequence[Path], out: Path) -> None:
    """Write a checkpoint with the mean of each weight, in float32; words and nouns are those of the first.

    Raises ValueError: fewer than two, or not of the same shapes.
    """
    if len(models) < 2:
        raise ValueError(f"a mean needs two checkpoints or more, got {len(models)}")
    shapes = [dict(stored_shapes(folder)) for folder in models]
    for folder, found in zip(models, shapes, strict=True):
        if found != shapes[0]:
            raise ValueError(
                f"{folder} has other weights than {models[0]}; only checkpoints of one lineage have a mean"
            )
    check_writable(out)
    first, *others = (StampForSegmentation.from_pretrained(folder, dtype=torch.float32) for folder in models)
    states = [model.state_dict() for model in (first, *others)]
    first.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    export_checkpoint(first, StampProcessor.from_pretrained(models[0]), out)
    shutil.copy(models[0] / NOUNS_FILE, out)

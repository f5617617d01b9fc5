"""The mean of checkpoints of one lineage: often better than each of them ("model soups", arXiv 2203.05482)."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

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
    check_writable(out)
    first, *others = (StampForSegmentation.from_pretrained(folder, dtype=torch.float32) for folder in models)
    total = first.state_dict()
    for folder, other in zip(models[1:], others, strict=True):
        weights = other.state_dict()
        if {name: value.shape for name, value in weights.items()} != {
            name: value.shape for name, value in total.items()
        }:
            raise ValueError(
                f"{folder} has other weights than {models[0]}; only checkpoints of one lineage have a mean"
            )
        total = {name: total[name] + value for name, value in weights.items()}
    first.load_state_dict({name: value / len(models) for name, value in total.items()})
    export_checkpoint(first, StampProcessor.from_pretrained(models[0]), out)
    shutil.copy(models[0] / NOUNS_FILE, out)

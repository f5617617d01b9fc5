"""The mean of checkpoints of one lineage: often better than each of them ("model soups", arXiv 2203.05482)."""

from collections.abc import Sequence
from pathlib import Path

import torch

from stamp.checkpoints.loading import stored_shapes
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.checkpoint import read_weights, write_derived


@torch.no_grad()
def average(models: Sequence[Path], out: Path) -> None:
    """Write a checkpoint with the mean of each weight, in float32; the list of nouns is that of the first.

    Raises ValueError: fewer than two, not STAMP's, or not of the same shapes, words and picture sizes.
    """
    if len(models) < 2:
        raise ValueError(f"a mean needs two checkpoints or more, got {len(models)}")
    for folder in models[1:]:
        _check_lineage(models[0], folder)
    first, *others = (read_weights(StampForSegmentation, folder) for folder in models)
    states = [model.state_dict() for model in (first, *others)]
    first.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    write_derived(first, StampProcessor.from_pretrained(models[0]), models[0], out)


def _check_lineage(first: Path, other: Path) -> None:
    """Raise ValueError unless weights of the same place have the same meaning in both."""
    ours, theirs = (StampProcessor.from_pretrained(folder) for folder in (first, other))
    same = {
        "weights": dict(stored_shapes(first)) == dict(stored_shapes(other)),
        "words": ours.tokenizer.get_vocab() == theirs.tokenizer.get_vocab(),
        "picture sizes": ours.image_processor.to_dict() == theirs.image_processor.to_dict(),
    }
    if differ := [name for name, is_same in same.items() if not is_same]:
        raise ValueError(
            f"{other} has other {' and '.join(differ)} than {first}; only checkpoints of one lineage have a mean"
        )

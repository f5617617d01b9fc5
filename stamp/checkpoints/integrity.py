"""Checks that a checkpoint's files agree with each other and hold finite numbers, before anything large is built."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stamp.errors import CheckpointError, reading

#: nf4 packs two weights into a stored byte, and a head tied to the embedding is stored once: configuration and files
#: of a valid checkpoint differ by less than this factor.
MOST_TIMES_STORED = 4
#: Values checked per tensor on loading. Checking all would read a file that is otherwise only mapped; a single bad
#: value is noticed when it reaches an answer (`stamp.inference.generation`).
VALUES_LOOKED_AT = 4096


def refuse_other_sizes(folder: Path, shapes: Mapping[str, tuple[int, ...]], model_class: type[Any]) -> None:
    """Raise CheckpointError when config.json describes a much larger model than the files hold.

    The model is built in the configuration's sizes before the weights are read, so these sizes need a check first.
    shapes: of all stored tensors, by name.
    """
    path = folder / "config.json"
    with reading(path):
        config = model_class.config_class.from_pretrained(folder)
        with torch.device("meta"):
            described = sum(parameter.numel() for parameter in model_class(config).parameters())
    stored = sum(prod(shape) for shape in shapes.values())
    if described > MOST_TIMES_STORED * stored:
        raise CheckpointError(
            f"{path} describes {described:,} weights, but its files hold {stored:,}. Download it again."
        )


def refuse_unlike_head(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise CheckpointError when embedding and head are stored with different numbers of rows, one row a token.

    Tied to each other they cannot be compared then, and transformers ends with an error about meta tensors.
    """
    rows = {
        matrix: shape[0]
        for matrix in ("embed_tokens", "lm_head")
        for name, shape in shapes.items()
        if name.endswith(f"{matrix}.weight") and len(shape) == 2
    }
    if len(set(rows.values())) > 1:
        raise CheckpointError(
            f"{folder} is not a complete STAMP checkpoint: its embedding has {rows['embed_tokens']:,} rows, but its "
            f"head lm_head {rows['lm_head']:,}. Save it again after resizing both, or use another revision."
        )


def refuse_no_numbers(model: nn.Module, folder: Path) -> None:
    """Raise CheckpointError, which names a tensor, for NaN or infinite weights, as failed trainings leave them."""
    for name, parameter in model.named_parameters():
        start = parameter.detach().reshape(-1)[:VALUES_LOOKED_AT]
        if start.is_floating_point() and not torch.isfinite(start).all():
            raise CheckpointError(
                f"{folder.name} holds values that are not finite numbers, for example in {name}: its training or its "
                "conversion failed. Use another revision."
            )

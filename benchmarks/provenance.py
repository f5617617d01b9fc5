"""Where a figure comes from: machine, commit, date, versions."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

import stamp.checkpoints.provenance
from stamp.checkpoints.provenance import Measured, git


class MeasuredModel(Measured, Protocol):
    """The measured model, with its weights."""

    @property
    def model(self) -> nn.Module:
        """The weights."""


def provenance(predictor: MeasuredModel, model: str | Path | None) -> dict[str, Any]:
    """The facts that every result file records. model: as given; only its last part is kept. Unknown is None."""
    return {
        "model": "stamp-nano" if model is None else Path(model).name,
        "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "weights_bytes": weights_bytes(predictor.model),
        "threads": torch.get_num_threads(),
        "uncommitted_changes": None if (status := git("status", "--porcelain")) is None else bool(status),
        "python": platform.python_version(),
        **stamp.checkpoints.provenance.provenance(predictor),
    }


def precision_of(about: Mapping[str, Any]) -> str:
    """The quantization in effect, or the dtype."""
    return str(about["dtype"] if about["quantization"] == "none" else about["quantization"])


def threads_of(about: Mapping[str, Any]) -> str:
    """ "1 thread", "2 threads"."""
    return f"{about['threads']} thread{'s' * (about['threads'] != 1)}"


def weights_bytes(model: nn.Module) -> int:
    """Bytes of a model's tensors in memory; tied ones count once, and the constants of quantized ones count too."""
    state = model.state_dict(keep_vars=True).values()
    tensors = {tensor.data_ptr(): tensor.nbytes for tensor in state if isinstance(tensor, torch.Tensor)}
    return sum(tensors.values())

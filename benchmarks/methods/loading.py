"""Loads a method's checkpoint and records where it came from."""

from dataclasses import replace
from typing import Any

import torch

from benchmarks.budget import read_budget
from benchmarks.datasets.sample import Sample
from benchmarks.fingerprint import checkpoint_sha256
from benchmarks.provenance import precision_of, provenance
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.sources import find_base, find_checkpoint, is_adapter
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.predictor import StampPredictor


def load_measured(
    options: LoadOptions, model_class: type[StampForSegmentation] = StampForSegmentation
) -> tuple[StampPredictor, dict[str, Any]]:
    """(predictor, its provenance). It decodes token by token, so no answer depends on earlier samples.

    Raises CheckpointError (a ValueError), which says what to do.
    """
    predictor = StampPredictor.load(replace(options, model_class=model_class, drafts=False))
    folder = find_checkpoint(options.model, options.revision)
    base = find_base(folder, options.base, options.base_revision) if is_adapter(folder) else None
    return predictor, provenance(predictor, options.model) | {
        "checkpoint_sha256": checkpoint_sha256(folder),
        "base_sha256": None if base is None else checkpoint_sha256(base),
        **read_budget(folder),
    }


class OnPredictor:
    """The shared part of methods with a predictor; see Method."""

    predictor: StampPredictor

    @property
    def precision(self) -> str:
        """The quantization in effect, or the dtype."""
        return precision_of(self.predictor.versions())

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.predictor.device

    def prompt(self, sample: Sample) -> str:
        """The dataset's prompt: these methods answer plain requests, and all were trained on the same ones."""
        return sample.prompt

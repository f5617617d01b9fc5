"""Loads a baseline's checkpoint, and says what it was loaded from."""

import argparse
from pathlib import Path
from typing import Any

import torch

from benchmarks.fingerprint import checkpoint_sha256
from benchmarks.method_options import BASELINE_CHECKPOINTS, missing_checkpoint
from benchmarks.provenance import provenance
from stamp.loading import LoadOptions, load_checkpoint
from stamp.modeling_stamp import StampForSegmentation
from stamp.predictor import StampPredictor, choose_device
from stamp.sources import find_checkpoint


def load_baseline(
    name: str, options: argparse.Namespace, model_class: type[StampForSegmentation] = StampForSegmentation
) -> tuple[StampPredictor, dict[str, Any]]:
    """(predictor that writes token by token, its provenance) of the checkpoint that a baseline's option names.

    Raises ValueError: no checkpoint, or one that cannot be loaded; the message says what to do.
    """
    if (problem := missing_checkpoint(name, options)) is not None:
        raise ValueError(problem)
    source = getattr(options, f"{name}_model") or BASELINE_CHECKPOINTS[name]
    folder = find_checkpoint(source)
    place = torch.device(choose_device(options.device))
    pixels = {"min_pixels": options.min_pixels, "max_pixels": options.max_pixels}
    loading = LoadOptions(place, options.dtype, options.quantization, model_class=model_class, **pixels)
    model, processor, in_effect = load_checkpoint(folder, loading)
    predictor = StampPredictor(model, processor)
    predictor.quantization = in_effect
    predictor.drafts = None
    about = {"checkpoint_sha256": checkpoint_sha256(folder), "base_sha256": None}
    return predictor, provenance(predictor, Path(source)) | about


def precision_of(predictor: StampPredictor) -> str:
    """The quantization in effect, or the dtype."""
    versions = predictor.versions()
    return versions["dtype"] if versions["quantization"] == "none" else versions["quantization"]

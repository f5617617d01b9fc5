"""The command-line options that say which model to load and how, and when an answer ends; of shell and page."""

import argparse
import math
import os
from typing import TYPE_CHECKING, Any

from stamp.refinement import REFINERS

if TYPE_CHECKING:
    from stamp.checkpoints.download import Report
    from stamp.model.modeling_stamp import StampForSegmentation
    from stamp.predictor import StampPredictor

#: (option, default, help). `--min-pixels` reads STAMP_MIN_PIXELS, and so on.
_MODEL_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("model", None, "nano, 2b, 7b, a checkpoint folder or a hub id (default: nano, the embedded one)"),
    ("base", None, "base model of an adapter: folder or hub id"),
    ("revision", None, "branch, tag or commit of a hub id"),
    ("device", "auto", "auto, cpu, cuda, cuda:1, ..."),
    ("dtype", "auto", "auto, float32, bfloat16 or float16"),
    ("quantization", "none", "none, int8, nf4, or auto: nf4 from a billion parameters on"),
    ("min-pixels", None, "least pixels of a picture after resizing"),
    ("max-pixels", None, "most pixels of a picture after resizing; fewer are faster"),
    ("sam-model", None, "SAM weights for the refinement sam, e.g. facebook/sam-vit-huge: folder or hub id"),
    ("sam-revision", None, "branch, tag or commit of the SAM weights' hub id"),
)


def add_model_options(
    parser: argparse.ArgumentParser, *, quantization: str = "none", from_environment: bool = False
) -> None:
    """Add the options; with `from_environment`, STAMP_MODEL, STAMP_QUANTIZATION ... give their defaults."""
    for name, default, text in _MODEL_OPTIONS:
        default = quantization if name == "quantization" else default
        if from_environment:
            default = os.environ.get(f"STAMP_{name.replace('-', '_').upper()}") or default
        is_number = name.endswith("pixels")
        parser.add_argument(f"--{name}", default=default, help=text, type=int if is_number else str)


def add_refine_option(parser: argparse.ArgumentParser) -> None:
    """Add `--refine`."""
    parser.add_argument("--refine", default="auto", help=f"from grid to pixels: {', '.join(REFINERS)}")


def token_budget(text: str) -> int:
    """The value of `--max-new-tokens`. Raises ArgumentTypeError, which argparse shows."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"an answer needs at least 1 token, got {text!r}")
    return int(text)


#: Enough for a long answer of a large model on a CPU: 256 tokens of the 7b in nf4 take 160 s on two cores.
MAX_SECONDS = 300.0


def add_limit_option(parser: argparse.ArgumentParser, *, from_environment: bool = False) -> None:
    """Add `--max-seconds`; with `from_environment`, STAMP_MAX_SECONDS gives its default."""
    default = (os.environ.get("STAMP_MAX_SECONDS") if from_environment else None) or MAX_SECONDS
    text = f"an answer ends after this many seconds of writing; inf for no limit (default: {MAX_SECONDS:g})"
    parser.add_argument("--max-seconds", default=default, type=seconds, help=text)


def seconds(text: str) -> float:
    """The value of `--max-seconds`. Raises ArgumentTypeError, which argparse shows."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"an answer needs a number of seconds above 0, got {text!r}")
    return value


def load_predictor(
    options: argparse.Namespace,
    *,
    merge: bool = False,
    report: "Report | None" = None,
    model_class: "type[StampForSegmentation] | None" = None,
) -> "StampPredictor":
    """The predictor the options ask for. model_class: what the weights are of; None is STAMP.

    Raises CheckpointError (a ValueError).
    """
    from stamp.checkpoints.sources import find_checkpoint
    from stamp.model.modeling_stamp import StampForSegmentation
    from stamp.predictor import StampPredictor

    sam_model = options.sam_model and find_checkpoint(options.sam_model, options.sam_revision, report)
    predictor = StampPredictor.from_pretrained(
        options.model,
        device=options.device,
        dtype=options.dtype,
        quantization=options.quantization,
        base=options.base,
        revision=options.revision,
        merge=merge,
        min_pixels=options.min_pixels,
        max_pixels=options.max_pixels,
        report=report,
        model_class=model_class or StampForSegmentation,
    )
    predictor.sam_model = sam_model
    return predictor

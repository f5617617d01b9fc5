"""Command-line options of shell and page: which model to load, how, and when an answer ends."""

import argparse
import math
import os
from dataclasses import fields

from stamp.checkpoints.load_options import LoadOptions
from stamp.refinement import REFINERS

#: By field of LoadOptions. `min_pixels` is `--min-pixels`, and the page also reads STAMP_MIN_PIXELS.
_HELP = {
    "model": "nano, 2b, 7b, a checkpoint folder or a hub id (default: nano, the small one that comes with the project)",
    "base": "base model of an adapter: folder or hub id",
    "base_revision": "branch, tag or commit of the base model's hub id",
    "revision": "branch, tag or commit of a hub id",
    "device": "auto, cpu, cuda, cuda:1, ...",
    "dtype": "auto, float32, bfloat16 or float16",
    "quantization": "none, int8, nf4, or auto: none below 1 billion parameters, else int8 on a CPU with VNNI, else nf4",
    "vision": "precision of the vision tower on a CPU: none (full), int8, or auto (int8 if a large model is in int8)",
    "decoding": "eager, or captured: decoding passes as one CUDA graph, faster on an NVIDIA GPU (not for int8 and nf4)",
    "min_pixels": "fewest pixels of a picture after resizing",
    "max_pixels": "most pixels of a picture after resizing; fewer are faster",
}
#: The same for the weights of a refinement.
_SAM_HELP = {
    "sam_model": "SAM weights for the refinement sam, e.g. facebook/sam-vit-huge: folder or hub id",
    "sam_revision": "branch, tag or commit of the SAM weights' hub id",
}


def add_model_options(
    parser: argparse.ArgumentParser,
    defaults: LoadOptions | None = None,
    *,
    from_environment: bool = False,
    with_sam: bool = True,
) -> None:
    """Add the options; with `from_environment`, STAMP_MODEL, STAMP_QUANTIZATION ... give their defaults."""
    for name, text in (_HELP | _SAM_HELP if with_sam else _HELP).items():
        default = getattr(defaults or LoadOptions(), name)
        if from_environment:
            default = os.environ.get(f"STAMP_{name.upper()}") or default
        kind = int if name.endswith("pixels") else str
        parser.add_argument(f"--{name.replace('_', '-')}", default=default, help=text, type=kind)


def read_model_options(given: argparse.Namespace) -> LoadOptions:
    """The values of `add_model_options`, and of `--merge` where a command has it."""
    names = {one.name for one in fields(LoadOptions)}
    return LoadOptions(**{name: value for name, value in vars(given).items() if name in names})


def add_refine_option(parser: argparse.ArgumentParser) -> None:
    """Add `--refine`."""
    parser.add_argument("--refine", default="auto", help=f"how masks get their edges: {', '.join(REFINERS)}")


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

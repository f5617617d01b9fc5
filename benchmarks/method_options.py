"""The options of the command line that say which methods answer, and how."""

import argparse
from pathlib import Path

from stamp.options import add_model_options

ASSETS = Path(__file__).resolve().parent.parent / "assets"
#: The baselines' checkpoints, by method. Each has an option: --polygon-model, --patch-text-model, --embedding-model.
BASELINE_CHECKPOINTS = {
    "polygon": ASSETS / "nano-polygon",
    "patch_text": ASSETS / "nano-patch-text",
    "embedding": ASSETS / "nano-embedding",
}


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Everything that makers of methods ask for (`benchmarks.methods.MAKERS`)."""
    parser.add_argument("--max-new-tokens", type=int, help="default: 256, or 1536 where masks are text")
    parser.add_argument("--refine", default="auto", help="from grid to pixels: none, guided, sam, or auto")
    for name, folder in BASELINE_CHECKPOINTS.items():
        default = f"assets/{folder.name}"
        parser.add_argument(f"--{option_of(name)}", help=f"checkpoint folder or hub id of {name} (default: {default})")
    parser.add_argument(
        "--published-polygon-model", help="folder or hub id of SimpleSeg on Qwen2.5-VL: polygon:published"
    )
    add_model_options(parser)


def option_of(name: str) -> str:
    """The option that names the checkpoint of a baseline, without its dashes."""
    return f"{name.replace('_', '-')}-model"


def missing_checkpoint(name: str, options: argparse.Namespace) -> str | None:
    """What to do where a baseline's checkpoint is not there; None where it is, or is named, or for other methods."""
    folder = BASELINE_CHECKPOINTS.get(name)
    if folder is None or folder.is_dir() or getattr(options, f"{name}_model") is not None:
        return None
    return (
        f"There is no checkpoint of {name} in assets/{folder.name}: train it with `python -m benchmarks train --method "
        f"{name} --from BACKBONE --out runs/{name}`, or name a folder with --{option_of(name)}."
    )


def default_options(name: str, model: str, device: str) -> argparse.Namespace:
    """The options' defaults, with a checkpoint for one method."""
    parser = argparse.ArgumentParser()
    add_method_options(parser)
    option = option_of(name) if name in BASELINE_CHECKPOINTS else "model"
    return parser.parse_args([f"--{option}={model}", f"--device={device}"])

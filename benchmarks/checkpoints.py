"""The checkpoints of the comparison: where they are, the options that name others, and what is skipped without them.

All were trained from one backbone under equal conditions; once trained, they are in `assets/`. The shipped nano was
trained separately, and longer.
"""

import argparse
from pathlib import Path
from types import MappingProxyType

from stamp.options import add_model_options, add_refine_option, token_budget

ASSETS = Path(__file__).resolve().parent.parent / "assets"
BACKBONE = "backbone"
#: Each method's default folder in `assets/`.
CHECKPOINTS = MappingProxyType(
    {
        "stamp": "nano-stamp",
        "polygon": "nano-polygon",
        "patch_text": "nano-patch-text",
        "embedding": "nano-embedding",
        BACKBONE: "nano-backbone",
    }
)
#: Trained from the backbone, each with the same examples, steps and choice of learning rates.
EQUAL_BUDGET = frozenset(folder for method, folder in CHECKPOINTS.items() if method != BACKBONE)


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Every option that the makers of methods read (`benchmarks.methods.MAKERS`)."""
    parser.add_argument("--max-new-tokens", type=token_budget, help="default: 256, or 1536 where masks are text")
    add_refine_option(parser)
    parser.add_argument(
        "--published-polygon-model", help="folder or hub id of SimpleSeg on Qwen2.5-VL: polygon:published"
    )
    add_model_options(parser)
    named = parser.add_argument_group(
        "checkpoints of the comparison",
        f"Each is a folder or hub id. Without --model, stamp is assets/{CHECKPOINTS['stamp']}, or the embedded nano.",
    )
    for method, folder in CHECKPOINTS.items():
        if method != "stamp":
            named.add_argument(f"--{option_of(method)}", help=f"default: assets/{folder}")


def option_of(method: str) -> str:
    """The option that names a method's checkpoint, without dashes: `model` for stamp."""
    return "model" if method == "stamp" else f"{method.replace('_', '-')}-model"


def checkpoint_of(method: str, options: argparse.Namespace) -> str | None:
    """The checkpoint that the method's option names, or else its folder in `assets/`; None without either."""
    named: str | None = getattr(options, option_of(method).replace("-", "_"))
    folder = ASSETS / CHECKPOINTS[method]
    return named or (str(folder) if folder.is_dir() else None)


def missing_checkpoints(options: argparse.Namespace) -> dict[str, str]:
    """The methods that `--methods all` leaves out, each with a sentence that says why and what to do.

    Without a checkpoint of its own, `stamp` is the shipped nano; then `stamp_nano` would only repeat it.
    """
    missing = {method: _advice(method) for method in CHECKPOINTS if checkpoint_of(method, options) is None}
    if missing.pop("stamp", None) is not None:
        missing["stamp_nano"] = f"stamp itself is the shipped nano, as there is no assets/{CHECKPOINTS['stamp']}."
    return missing


def with_checkpoint(method: str, options: argparse.Namespace) -> argparse.Namespace:
    """Options with the method's checkpoint as --model. Raises ValueError if there is none; it says what to do."""
    if (model := checkpoint_of(method, options)) is None:
        raise ValueError(_advice(method))
    return changed(options, model=model, base=None, revision=None)


def changed(options: argparse.Namespace, **changes: str | None) -> argparse.Namespace:
    """A copy with some values replaced."""
    return argparse.Namespace(**(vars(options) | changes))


def default_options(method: str, model: str, device: str) -> argparse.Namespace:
    """The options' defaults, with a checkpoint for one method."""
    parser = argparse.ArgumentParser()
    add_method_options(parser)
    return parser.parse_args([f"--{option_of(method)}={model}", f"--device={device}"])


def _advice(method: str) -> str:
    train = f"train it with `python -m benchmarks train --method {method} --from BACKBONE --steps N --out RUN`, or "
    advice = "" if method == BACKBONE else train
    return f"There is no assets/{CHECKPOINTS[method]}: {advice}name a folder with --{option_of(method)}."

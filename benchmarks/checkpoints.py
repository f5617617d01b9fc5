"""The checkpoints of the comparison: where they are, the options that name others, and what is skipped without them.

Those in `assets/` were trained from one backbone under equal conditions; `benchmarks.budget` reads their records. The
shipped nano was trained separately.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from stamp.checkpoints.load_options import LoadOptions
from stamp.options import add_model_options, add_refine_option, read_model_options, token_budget

ASSETS = Path(__file__).resolve().parent.parent / "assets"
BACKBONE = "backbone"
#: Each method's default folder in `assets/`.
CHECKPOINTS = MappingProxyType(
    {
        "stamp": "nano-stamp",
        "stamp_shared": "nano-stamp-shared",
        "polygon": "nano-polygon",
        "patch_text": "nano-patch-text",
        "embedding": "nano-embedding",
        BACKBONE: "nano-backbone",
    }
)


@dataclass(frozen=True)
class MethodOptions:
    """Everything that the makers of methods read (`benchmarks.methods.MAKERS`).

    checkpoints: folders or hub ids by method; `load.model` is that of stamp, and the rest come from `assets/`.
    max_new_tokens: None is 256, or 512 where masks are words. published_polygon_model: that of polygon:published.
    """

    load: LoadOptions = field(default_factory=LoadOptions)
    max_new_tokens: int | None = None
    refine: str = "auto"
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    published_polygon_model: str | None = None


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for everything in MethodOptions; `read_method_options` reads them."""
    parser.add_argument("--max-new-tokens", type=token_budget, help="default: 256, or 512 where masks are words")
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


def read_method_options(given: argparse.Namespace) -> MethodOptions:
    """The values of `add_method_options`."""
    named = {method: getattr(given, option_of(method).replace("-", "_")) for method in CHECKPOINTS if method != "stamp"}
    return MethodOptions(
        load=read_model_options(given),
        max_new_tokens=given.max_new_tokens,
        refine=given.refine,
        checkpoints={method: model for method, model in named.items() if model is not None},
        published_polygon_model=given.published_polygon_model,
    )


def option_of(method: str) -> str:
    """The option that names a method's checkpoint, without leading dashes: `model` for stamp."""
    return "model" if method == "stamp" else f"{method.replace('_', '-')}-model"


def checkpoint_of(method: str, options: MethodOptions) -> str | Path | None:
    """The checkpoint that the options name, or else the method's folder in `assets/`; None without either."""
    named = options.checkpoints.get(method) or (options.load.model if method == "stamp" else None)
    folder = ASSETS / CHECKPOINTS[method]
    return named or (str(folder) if folder.is_dir() else None)


def missing_checkpoints(options: MethodOptions) -> dict[str, str]:
    """The methods that `--methods all` leaves out, each with a sentence that says why and what to do.

    Without a checkpoint of its own, `stamp` is the shipped nano; then `stamp_nano` would only repeat it.
    """
    missing = {method: _advice(method) for method in CHECKPOINTS if checkpoint_of(method, options) is None}
    if missing.pop("stamp", None) is not None:
        missing["stamp_nano"] = f"stamp itself is the shipped nano, as there is no assets/{CHECKPOINTS['stamp']}."
    return missing


def load_options_of(method: str, options: MethodOptions) -> LoadOptions:
    """How to load the method's checkpoint. Raises ValueError if there is none; it says what to do."""
    if (model := checkpoint_of(method, options)) is None:
        raise ValueError(_advice(method))
    return replace(options.load, model=model, base=None, revision=None)


def _advice(method: str) -> str:
    train = f"train it with `python -m benchmarks train --methods {method} --from BACKBONE --steps N --out RUN`, or "
    advice = "" if method == BACKBONE else train
    return f"There is no assets/{CHECKPOINTS[method]}: {advice}name a folder with --{option_of(method)}."

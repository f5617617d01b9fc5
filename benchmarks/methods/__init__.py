"""Methods by name. A new one needs a module with a class like `benchmarks.methods.method.Method`, and a line here."""

import argparse
from collections.abc import Callable, Collection, Sequence
from types import MappingProxyType

from benchmarks.checkpoints import BACKBONE, STAMP, has_checkpoint
from benchmarks.methods.backbone import load_backbone
from benchmarks.methods.method import Method, Prediction, TalksOnly
from benchmarks.methods.stamp import load_stamp, load_stamp_nano

__all__ = ["MAKERS", "Method", "Prediction", "TalksOnly", "load_methods", "method_labels", "missing_checkpoints"]

#: Makers: (variant, options of the command line) -> loaded method.
MAKERS: MappingProxyType[str, Callable[[str, argparse.Namespace], Method]] = MappingProxyType(
    {"stamp": load_stamp, "stamp_nano": load_stamp_nano, "backbone": load_backbone}
)
#: What "all" leaves out until a checkpoint is in `assets/`. Without nano-stamp, `stamp` is the shipped nano itself.
CHECKPOINTS: MappingProxyType[str, str] = MappingProxyType({"stamp_nano": STAMP, "backbone": BACKBONE})


def missing_checkpoints() -> dict[str, str]:
    """Methods that "all" leaves out, each with the checkpoint that is not there."""
    return {method: name for method, name in CHECKPOINTS.items() if not has_checkpoint(name)}


def method_labels(wanted: Sequence[str], absent: Collection[str] = ()) -> tuple[str, ...]:
    """ "NAME" or "NAME:VARIANT" each, "all" spelled out, without those that are `absent`.

    Raises ValueError: unknown name, or the same method twice.
    """
    present = [name for name in MAKERS if name not in absent]
    labels = tuple(label for one in wanted for label in (present if one == "all" else [one]))
    if unknown := [label for label in labels if label.partition(":")[0] not in MAKERS]:
        raise ValueError(f"There is no method {unknown[0]!r}; choose from {', '.join(MAKERS)}, or all.")
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise ValueError(f"The method {twice[0]!r} is named twice.")
    return labels


def load_methods(labels: Sequence[str], options: argparse.Namespace) -> list[Method]:
    """Load each of `method_labels`. Raises ValueError: an unknown variant, or what loading it raises."""
    parts = [label.partition(":") for label in labels]
    return [MAKERS[name](variant, options) for name, _, variant in parts]

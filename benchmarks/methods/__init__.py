"""Methods by name. A new one needs a module with a class like `benchmarks.methods.method.Method`, and a line here."""

import argparse
from collections.abc import Callable, Sequence
from types import MappingProxyType

from benchmarks.methods.method import Method, Prediction
from benchmarks.methods.stamp import load_stamp

__all__ = ["MAKERS", "Method", "Prediction", "load_methods", "method_labels"]

#: Makers: (variant, options of the command line) -> loaded method.
MAKERS: MappingProxyType[str, Callable[[str, argparse.Namespace], Method]] = MappingProxyType({"stamp": load_stamp})


def method_labels(wanted: Sequence[str]) -> tuple[str, ...]:
    """ "NAME" or "NAME:VARIANT" each, "all" spelled out. Raises ValueError: unknown name, or the same method twice."""
    labels = tuple(label for one in wanted for label in (MAKERS if one == "all" else [one]))
    if unknown := [label for label in labels if label.partition(":")[0] not in MAKERS]:
        raise ValueError(f"There is no method {unknown[0]!r}; choose from {', '.join(MAKERS)}, or all.")
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise ValueError(f"The method {twice[0]!r} is named twice.")
    return labels


def load_methods(labels: Sequence[str], options: argparse.Namespace) -> list[Method]:
    """Load each of `method_labels`. Raises ValueError: an unknown variant, or what loading it raises."""
    parts = [label.partition(":") for label in labels]
    return [MAKERS[name](variant, options) for name, _, variant in parts]

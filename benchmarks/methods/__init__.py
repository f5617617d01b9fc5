"""Methods by name. A new one needs a module with a class like `benchmarks.methods.method.Method`, and a line here."""

from collections.abc import Callable, Collection, Sequence
from types import MappingProxyType

from benchmarks.checkpoints import MethodOptions
from benchmarks.methods.backbone import load_backbone
from benchmarks.methods.embedding import load_embedding
from benchmarks.methods.method import Method, Prediction, TalksOnly
from benchmarks.methods.patch_text import load_patch_text
from benchmarks.methods.polygon import load_polygon
from benchmarks.methods.stamp import load_stamp, load_stamp_nano, load_stamp_shared

__all__ = ["MAKERS", "Method", "Prediction", "TalksOnly", "load_methods", "method_labels"]

#: Makers: (variant, options) -> loaded method.
MAKERS: MappingProxyType[str, Callable[[str, MethodOptions], Method]] = MappingProxyType(
    {
        "stamp": load_stamp,
        "stamp_nano": load_stamp_nano,
        "stamp_shared": load_stamp_shared,
        "polygon": load_polygon,
        "patch_text": load_patch_text,
        "embedding": load_embedding,
        "backbone": load_backbone,
    }
)
#: Published models that cannot be measured here, because only transformers' own classes and safetensors are loaded.
REFUSED = {
    "lisa": "its classes come with its own repository, and its weights are pickles, which can run code",
    "text4seg": "transformers has no model type llava_llama: it needs the code of its own repository",
    "sa2va": "its classes are remote code beside the weights",
    "simpleseg-kimi-vl": "its classes are remote code beside the weights; polygon:published is its twin on Qwen2.5-VL",
}


def method_labels(wanted: Sequence[str], absent: Collection[str] = ()) -> tuple[str, ...]:
    """The labels, "NAME" or "NAME:VARIANT", with "all" expanded to every method that is not `absent`.

    Raises ValueError: unknown name, a refused model, or the same method twice.
    """
    present = [name for name in MAKERS if name not in absent]
    labels = tuple(label for one in wanted for label in (present if one == "all" else [one]))
    for name in (label.partition(":")[0] for label in labels):
        if (reason := REFUSED.get(name.lower())) is not None:
            raise ValueError(f"{name} is not measured: {reason}.")
        if name not in MAKERS:
            raise ValueError(f"There is no method {name!r}; choose from {', '.join(MAKERS)}, or all.")
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise ValueError(f"The method {twice[0]!r} is named twice.")
    return labels


def load_methods(labels: Sequence[str], options: MethodOptions) -> list[Method]:
    """Load each of `method_labels`. Raises ValueError: an unknown variant, or an error while loading it."""
    parts = [label.partition(":") for label in labels]
    return [MAKERS[name](variant, options) for name, _, variant in parts]

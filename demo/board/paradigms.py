"""The ways to a mask that the benchmark compares: a name and a colour for each, by the name of a method."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paradigm:
    """name: in words. colour: hex; distinguishable on light and dark pages and with colour blindness."""

    name: str
    colour: str


ALL_MASK = Paradigm("all-mask", "#4c78f0")
POLYGON = Paradigm("polygon text", "#e08a00")
PATCH_TEXT = Paradigm("patch text", "#0a9b77")
EMBEDDING = Paradigm("embedding", "#c4569b")
OTHER = Paradigm("other", "#8a8f98")
PARADIGMS = (ALL_MASK, POLYGON, PATCH_TEXT, EMBEDDING, OTHER)

_BY_METHOD = {"stamp": ALL_MASK, "polygon": POLYGON, "patch_text": PATCH_TEXT, "embedding": EMBEDDING}


def paradigm_of(label: str) -> Paradigm:
    """The paradigm of a method as it is named on the command line; "stamp_nano" and "stamp:nf4" are both stamp."""
    name = label.partition(":")[0]
    return next(
        (found for method, found in _BY_METHOD.items() if name == method or name.startswith(f"{method}_")), OTHER
    )


def paradigm_named(name: str) -> Paradigm:
    """The paradigm of a name in words; "other" for one that is not here."""
    return next((one for one in PARADIGMS if one.name == name), OTHER)

"""The kinds of method that the benchmark compares: how a model gets to a mask, with a name and a colour for plots.

Every method belongs to one: the shipped nano, the published weights and each variant of STAMP are all "all-mask". The
names of single methods are in `demo.board.names`.
"""

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
    """The paradigm of a method's label on the command line; "stamp_nano" and "stamp:nf4" are both all-mask."""
    name = label.partition(":")[0]
    return next(
        (found for method, found in _BY_METHOD.items() if name == method or name.startswith(f"{method}_")), OTHER
    )


def paradigm_named(name: str) -> Paradigm:
    """The paradigm of a name in words; "other" for one that is not here."""
    return next((one for one in PARADIGMS if one.name == name), OTHER)

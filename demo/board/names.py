"""Display names for the ids in the results: methods, datasets, splits, tasks, runs, precisions.

URLs and downloads keep the ids. An id without a name here, for example from another results folder, is shown as it
is. Several methods can belong to one paradigm, whose name and colour are in `demo.board.paradigms`.
"""

#: A name, and what tells it from others of that name.
_METHODS = {
    "stamp": ("STAMP",),
    "stamp_nano": ("STAMP", "shipped nano"),
    "stamp_shared": ("STAMP", "one pass for all targets"),
    "polygon": ("Polygon text",),
    "patch_text": ("Patch text",),
    "embedding": ("Embedding",),
    "backbone": ("Backbone",),
}
_VARIANTS = {
    "none": "no edge refinement",
    "guided": "guided filter",
    "grabcut": "GrabCut",
    "released": "algorithm as released",
    "published": "published model",
}
_DATASETS = {
    "scenes": "Drawn scenes",
    "photos": "Photographs",
    "refcoco": "RefCOCO",
    "refcoco+": "RefCOCO+",
    "refcocog": "RefCOCOg",
    "grefcoco": "gRefCOCO",
    "reasonseg": "ReasonSeg",
}
_SPLITS = {
    "known": "Familiar drawings",
    "style": "Unseen styles",
    "background": "Unseen backgrounds",
    "heldout": "Held-out photographs",
}
_KINDS = {
    "segment": "Segment by name",
    "segment_absent": "Segment something absent",
    "segment_place": "Segment by place",
    "segment_size": "Segment by size",
    "segment_colour": "Segment by colour",
    "segment_beside": "Segment by neighbour",
    "segment_group": "Segment by category or use",
    "segment_several": "Segment several things",
    "segment_everything": "Segment everything",
    "where": "Where is it?",
    "exists": "Is it there?",
    "unknown": "Is something unfamiliar there?",
    "count": "How many?",
    "what": "What is it?",
    "what_beside": "What is beside it?",
    "bigger": "Which is bigger?",
}
_RUNS = {"scenes": "Main comparison", "scenes-variants": "Variants of STAMP", "photos": "Photographs"}
_PHASES = {
    "vision": "vision (reading the picture)",
    "prefill": "prefill (reading the question)",
    "decode": "decode (writing words)",
    "mask": "masks",
    "refine": "edge refinement",
}
#: Methods that the race leaves out because they draw no masks, with the reason.
NO_MASKS = {"backbone": "it was never trained to draw masks"}


def method_name(label: str) -> str:
    """ "STAMP (int8, no edge refinement)" for "stamp:int8+none". In a list, names are separated by commas."""
    name, _, variant = label.partition(":")
    shown, *details = _METHODS.get(name, (name,))
    details += [_VARIANTS.get(part, part) for part in variant.split("+") if part]
    return f"{shown} ({', '.join(details)})" if details else shown


def phase_name(phase: str) -> str:
    """What happens in a phase of an answer."""
    return _PHASES.get(phase, phase)


def name_of(column: str, value: str) -> str:
    """The name of a value in one of the results' columns: "dataset", "split", "kind", "run" or "method"."""
    if column == "method":
        return method_name(value)
    known = {"dataset": _DATASETS, "split": _SPLITS, "kind": _KINDS, "run": _RUNS}.get(column, {})
    return known.get(value, value)

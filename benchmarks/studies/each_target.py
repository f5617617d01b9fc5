"""The IoU of each target of requests for several things, from the records of a run over the project's scenes.

The report joins all masks of an answer, so it does not see which mask belongs to which name: two names with the same
joint mask would score full marks. Here a mask counts for the object that its name in the answer says; a target that no
mask is named after has IoU 0. Only methods that write `<|seg|>` can be read like this.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import SCENES_ROOT
from benchmarks.datasets.scenes import SCENES_FILE, read_scene_lines
from benchmarks.reporting.report_table import interval, markdown
from benchmarks.scoring.intervals import Interval, bootstrap, difference, mean
from benchmarks.scoring.records import Record, records_of
from benchmarks.scoring.scores import iou_of
from stamp.labels import SEG, find_names
from stamp.pictures.masks import Mask, decode_rle, intersection_over_union

KIND = "segment_several"
#: (sample, noun) -> IoU.
Targets = dict[tuple[str, str], float]


def wanted_objects(scene: dict[str, Any], sample: str) -> Iterator[tuple[str, Mask]]:
    """(noun, mask) of the objects that an expression asks for: those inside its mask. sample: "SCENE-eNUMBER"."""
    number = int(sample.rpartition("-e")[2])
    asked = decode_rle(scene["expressions"][number]["rle"])
    for item in scene["objects"]:
        mask = decode_rle(item["rle"])
        if mask.any() and not (mask & ~asked).any():
            yield item["noun"], mask


def target_ious(record: Record, scene: dict[str, Any]) -> Targets:
    """The IoU of each object that a request asks for, with the mask that the answer names after it."""
    *pieces, _ = (record.raw_output or "").split(SEG)
    names = find_names(pieces) if len(pieces) == len(record.masks) else []
    named = {name.casefold(): code for name, code in zip(names, record.masks, strict=False) if name is not None}
    found: Targets = {}
    for noun, mask in wanted_objects(scene, record.sample):
        code = named.get(noun.casefold())
        drawn = np.zeros_like(mask) if code is None else decode_rle(code)
        found[record.sample, noun] = intersection_over_union(drawn, mask)
    return found


def study_targets(records: Sequence[Record], scenes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Interval]]:
    """By method: IoU per target, IoU of the joint masks, and the differences of both from the first method's.

    Over the requests that every method has answered; a run's first method with `<|seg|>` is the reference. Raises
    ValueError if there is no such request.
    """
    several = [record for record in records if record.kind == KIND and record.status != "error"]
    writers = dict.fromkeys(record.label for record in several if SEG in (record.raw_output or ""))
    answers = {label: {one.sample: one for one in several if one.label == label} for label in writers}
    common = sorted(set.intersection(*(set(own) for own in answers.values()))) if answers else []
    if not common:
        raise ValueError(f"the run has no answers with {SEG} to requests of the kind {KIND}")
    ious: dict[str, Targets] = {label: {} for label in answers}
    for label, own in answers.items():
        for sample in common:
            ious[label] |= target_ious(own[sample], scenes[sample.rpartition("-e")[0]])
    keys = list(next(iter(ious.values())))
    each = _compared({label: [own[key] for key in keys] for label, own in ious.items()}, [sample for sample, _ in keys])
    joint = _compared({label: [iou_of(own[sample]) for sample in common] for label, own in answers.items()}, common)
    return {
        label: {
            "each": each[label],
            "difference": each[f"- {label}"],
            "joint": joint[label],
            "joint difference": joint[f"- {label}"],
        }
        for label in ious
    }


def _compared(values: dict[str, list[float]], samples: Sequence[str]) -> dict[str, Interval]:
    """Each method's mean by its label, and by "- LABEL" its difference from the first method's."""
    means = {label: mean(own) for label, own in values.items()}
    first = next(iter(means.values()))
    differences = {f"- {label}": difference(own, first) for label, own in means.items()}
    return bootstrap(means | differences, [sample.rpartition("-e")[0] for sample in samples])


def targets_of_run(folder: Path, root: Path | None = None) -> str:
    """Markdown: a line for each method of a run's folder. root: of the scene set; None is the project's own.

    Raises ValueError, OSError.
    """
    records, problems = records_of(folder)
    if problems:
        raise ValueError(f"{len(problems)} lines of {folder} cannot be read, the first: {problems[0]}")
    scenes = {scene["id"]: scene for _, scene in read_scene_lines((root or SCENES_ROOT) / SCENES_FILE)}
    rows = study_targets(records, scenes)
    minus = f"minus {next(iter(rows))}"
    lines = [
        [
            label,
            str(one["each"].n),
            interval(asdict(one["each"])),
            interval(asdict(one["difference"]), sign="+"),
            str(one["joint"].n),
            interval(asdict(one["joint"])),
            interval(asdict(one["joint difference"]), sign="+"),
        ]
        for label, one in rows.items()
    ]
    return markdown(["method", "targets", "IoU per target", minus, "requests", "joint gIoU", minus], lines, words=1)

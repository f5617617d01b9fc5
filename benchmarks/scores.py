"""Scores of a group of records: accuracy with intervals, and what the answers cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.intervals import DRAWS, Interval, bootstrap, mean, median, ratio
from benchmarks.metrics import Convention, Overlaps, mask_statistics
from benchmarks.records import Record

#: In the order of the tables. Accuracy of masks, then of words.
SCORES = ("gIoU", "target gIoU", "cIoU", "P@0.5", "P@0.7", "P@0.9", "N-acc", "T-acc", "invalid", "dialogue")


@dataclass(frozen=True)
class Cost:
    """What answers took: seconds, tokens and forward passes. Unknown is None; n answers were measured."""

    n: int
    median_s: float | None
    p90_s: float | None
    median_tokens: float | None
    median_passes: float | None
    median_phases_s: dict[str, float]


def overlaps_of(records: Sequence[Record]) -> Overlaps:
    """The records as arrays. A crash is as unusable as an invalid output."""
    columns = {
        name: [getattr(record, name) or 0 for record in records] for name in ("intersection", "union", "predicted")
    }
    return Overlaps(
        annotated=np.array([record.union is not None for record in records], dtype=bool),
        **{name: np.array(column, dtype=np.int64) for name, column in columns.items()},
        no_target=np.array([bool(record.no_target) for record in records], dtype=bool),
        usable=np.array([record.status == "ok" for record in records], dtype=bool),
    )


def scores_of(records: Sequence[Record], convention: Convention, draws: int = DRAWS) -> dict[str, Interval | None]:
    """Every name of SCORES; None where there is nothing to score. draws: 0 for values without intervals."""
    asked = [record.no_target is not None for record in records]
    statistics = mask_statistics(overlaps_of(records), convention) | {
        "invalid": mean([record.status == "invalid" for record in records], asked),
        "dialogue": mean([bool(record.correct) for record in records], np.invert(asked)),
    }
    found = bootstrap(statistics, [record.image for record in records], draws=draws)
    return {name: found[name] if found[name].n else None for name in SCORES}


def cost_of(records: Sequence[Record]) -> Cost:
    """Over the answers that were measured."""
    measured = [record for record in records if record.total_s is not None]
    seconds = [record.total_s for record in measured if record.total_s is not None]
    phases = dict.fromkeys(phase for record in measured for phase in record.phases_s)
    return Cost(
        n=len(measured),
        median_s=_quantile(seconds, 0.5),
        p90_s=_quantile(seconds, 0.9),
        median_tokens=_quantile([record.new_tokens for record in measured], 0.5),
        median_passes=_quantile([record.forward_passes for record in measured], 0.5),
        median_phases_s={
            phase: float(np.median([record.phases_s.get(phase, 0.0) for record in measured])) for phase in phases
        },
    )


def _quantile(values: Sequence[float | int | None], share: float) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.quantile(known, share)) if known else None


def latency_ratio(records: Sequence[Record], reference: Sequence[Record]) -> Interval | None:
    """Median seconds over the reference's median seconds, on the samples that both have measured; None without any."""
    base = {record.key[:3]: record.total_s for record in reference if record.total_s is not None}
    pairs = [
        (record.total_s, base[record.key[:3]], record.image)
        for record in records
        if record.total_s is not None and record.key[:3] in base
    ]
    if not pairs:
        return None
    own, other, images = zip(*pairs, strict=True)
    return bootstrap({"ratio": ratio(median(own), median(other))}, images)["ratio"]


def as_json(interval: Interval | None) -> dict[str, Any] | None:
    """The interval as a JSON object, or null."""
    return None if interval is None else asdict(interval)

"""Scores of a group of records: accuracy with intervals, and the cost of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scoring.intervals import DRAWS, Interval, Statistic, bootstrap, difference, mean, median, ratio
from benchmarks.scoring.metrics import Convention, Overlaps, mask_statistics
from benchmarks.scoring.records import Record

#: In the order of the tables: accuracy of masks, then of words.
SCORES = ("gIoU", "target gIoU", "cIoU", "P@0.5", "P@0.7", "P@0.9", "N-acc", "T-acc", "invalid", "dialogue")
#: Scores that are also given as a difference from the reference.
COMPARED = ("gIoU", "dialogue")


@dataclass(frozen=True)
class Cost:
    """The cost of some answers: seconds of the n that were measured, tokens and forward passes. Unknown is None."""

    n: int
    median_s: float | None
    p90_s: float | None
    median_tokens: float | None
    median_passes: float | None
    median_phases_s: dict[str, float]


def overlaps_of(records: Sequence[Record]) -> Overlaps:
    """The records as arrays. A crash is not usable either."""
    return Overlaps(
        annotated=np.array([record.union is not None for record in records], dtype=bool),
        intersection=np.array([record.intersection or 0 for record in records], dtype=np.int64),
        union=np.array([record.union or 0 for record in records], dtype=np.int64),
        predicted=np.array([record.predicted or 0 for record in records], dtype=np.int64),
        no_target=np.array([bool(record.no_target) for record in records], dtype=bool),
        usable=np.array([record.status == "ok" for record in records], dtype=bool),
        crashed=np.array([record.status == "error" for record in records], dtype=bool),
    )


def iou_of(record: Record) -> float:
    """IoU of one request for a mask, as in reports: 1 for two empty masks, 0 for an unusable output."""
    return float(overlaps_of([record]).ious(Convention())[0])


def scores_of(records: Sequence[Record], convention: Convention, draws: int = DRAWS) -> dict[str, Interval | None]:
    """Every score in SCORES; None if there is nothing to score. draws: 0 for values without intervals."""
    found = bootstrap(statistics_of(records, convention), [record.image for record in records], draws=draws)
    return {name: found[name] if found[name].n else None for name in SCORES}


def statistics_of(records: Sequence[Record], convention: Convention) -> dict[str, Statistic]:
    """Every score in SCORES, for `benchmarks.scoring.intervals`."""
    asked = [record.no_target is not None for record in records]
    return mask_statistics(overlaps_of(records), convention) | {
        "invalid": mean([record.status == "invalid" for record in records], asked),
        "dialogue": mean([bool(record.correct) for record in records], np.invert(asked)),
    }


def cost_of(records: Sequence[Record]) -> Cost:
    """Medians of what is known; a crash has neither seconds nor tokens."""
    measured = [record for record in records if record.total_s is not None]
    seconds = [record.total_s for record in measured if record.total_s is not None]
    phases = dict.fromkeys(phase for record in measured for phase in record.phases_s)
    return Cost(
        n=len(measured),
        median_s=_quantile(seconds, 0.5),
        p90_s=_quantile(seconds, 0.9),
        median_tokens=_quantile([record.new_tokens for record in records], 0.5),
        median_passes=_quantile([record.forward_passes for record in records], 0.5),
        median_phases_s={
            phase: float(np.median([record.phases_s.get(phase, 0.0) for record in measured])) for phase in phases
        },
    )


def _quantile(values: Sequence[float | int | None], share: float) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.quantile(known, share)) if known else None


def against(
    records: Sequence[Record], reference: Sequence[Record], convention: Convention
) -> dict[str, Interval | None]:
    """Compare a method with the reference on the samples that both have records of; None if there are none.

    times_s: median seconds per request for a mask, divided by the reference's. gIoU, dialogue: the score minus the
    reference's. Intervals are paired: whatever makes a sample hard or slow for both cancels out. A sample that only one
    of them has a time or a score of is left out.
    """
    others = {record.key[:3]: record for record in reference}
    pairs = [(record, others[record.key[:3]]) for record in records if record.key[:3] in others]
    timed = [
        (own.total_s, other.total_s, own.image)
        for own, other in pairs
        if own.no_target is not None and own.total_s is not None and other.total_s is not None
    ]
    found: dict[str, Interval | None] = {"times_s": None, **dict.fromkeys(COMPARED)}
    if timed:
        own_s, other_s, images = zip(*timed, strict=True)
        found |= bootstrap({"times_s": ratio(median(own_s), median(other_s))}, images)
    scored = [(own, other) for own, other in pairs if (own.union is None) == (other.union is None)]
    if scored:
        a, b = (statistics_of(side, convention) for side in zip(*scored, strict=True))
        statistics = {name: difference(a[name], b[name]) for name in COMPARED if a[name].n}
        found |= bootstrap(statistics, [own.image for own, _ in scored])
    return found

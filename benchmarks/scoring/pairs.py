"""Compares methods in pairs, each on the samples that both answered.

Two intervals may overlap although one method is clearly better, because both go up and down with the same easy and
hard pictures. The difference on the same draws of pictures does not have that common part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scoring.intervals import Array, Interval, Statistic, draws_of, interval_of, median
from benchmarks.scoring.metrics import Convention
from benchmarks.scoring.records import Record
from benchmarks.scoring.scores import statistics_of

SECONDS = "median s"
#: What pairs are compared in; fewer seconds are better, more of everything else.
COMPARED = ("gIoU", "cIoU", "P@0.5", "dialogue", SECONDS)

Key = tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Method a against method b. difference: a's score minus b's, on the same n samples.

    probability: that a is the better one, 0..1: the share of draws in which it is, where equal draws count half. None
    if the spread is unknown.
    """

    difference: Interval
    probability: float | None

    @property
    def is_decided(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and (low > 0 or high < 0)


#: By score, then by (a, b), in both orders. Pairs without a common sample of a score are missing.
Pairs = dict[str, dict[tuple[str, str], Pair]]


def compare_pairs(answers: Mapping[str, Sequence[Record]], convention: Convention) -> Pairs:
    """Every pair of methods, in every score of COMPARED. answers: records of one run, by the name of the method."""
    by_key = {name: {record.key[:3]: record for record in records} for name, records in answers.items()}
    found: Pairs = {score: {} for score in COMPARED}
    known: dict[tuple[str, tuple[Key, ...]], dict[str, _Drawn]] = {}
    for a in answers:
        for b in answers:
            keys = tuple(sorted(by_key[a].keys() & by_key[b].keys()))
            if a == b or not keys:
                continue
            for name in (a, b):
                if (name, keys) not in known:
                    known[name, keys] = _draw([by_key[name][key] for key in keys], convention)
            for score in COMPARED:
                own, other = (known[name, keys].get(score) for name in (a, b))
                if own is not None and other is not None and own.n == other.n:
                    found[score][a, b] = _pair(own, other, -1 if score == SECONDS else 1)
    return found


@dataclass(frozen=True)
class _Drawn:
    value: float
    draws: Array
    n: int


def _draw(records: Sequence[Record], convention: Convention) -> dict[str, _Drawn]:
    """The scores of a method that these records have."""
    statistics = {name: one for name, one in statistics_of(records, convention).items() if name in COMPARED}
    timed = [record.no_target is not None and record.total_s is not None for record in records]
    if any(timed):
        statistics[SECONDS] = _median_where(records, timed)
    statistics = {name: one for name, one in statistics.items() if one.n}
    drawn = draws_of(statistics, [record.image for record in records])
    whole = np.ones((1, len(records)))
    return {name: _Drawn(float(one.of(whole)[0]), drawn[name], one.n) for name, one in statistics.items()}


def _median_where(records: Sequence[Record], timed: Sequence[bool]) -> Statistic:
    where = [index for index, is_timed in enumerate(timed) if is_timed]
    inner = median([records[index].total_s or 0.0 for index in where])
    return Statistic(lambda weights: _defined(inner, weights[:, where]), inner.n)


def _defined(statistic: Statistic, weights: Array) -> Array:
    return np.where(weights.sum(axis=1) > 0, statistic.of(weights), np.nan)


def _pair(a: _Drawn, b: _Drawn, sign: int) -> Pair:
    differences = a.draws - b.draws
    better = sign * differences[~np.isnan(differences)]
    share = float(((better > 0) + (better == 0) / 2).mean()) if len(better) else None
    return Pair(interval_of(a.value - b.value, differences, a.n), share)

"""Compares methods in pairs, each score on the samples that both have it of.

Two intervals may overlap although one method is clearly better, because both go up and down with the same easy and
hard pictures. The difference on the same draws of pictures does not have that common part.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from benchmarks.scoring.intervals import Array, Interval, draws_of, interval_of, median
from benchmarks.scoring.metrics import Convention
from benchmarks.scoring.records import Record
from benchmarks.scoring.scores import statistics_of

SECONDS = "median s"
#: What pairs are compared in, and which records each score covers; fewer seconds are better, more of everything else.
COVERED: Mapping[tuple[str, ...], Callable[[Record], bool]] = {
    ("gIoU", "cIoU", "P@0.5"): lambda record: record.union is not None,
    ("dialogue",): lambda record: record.correct is not None,
    (SECONDS,): lambda record: record.no_target is not None and record.total_s is not None,
}
COMPARED = tuple(score for scores in COVERED for score in scores)

#: Dataset, split and sample.
Key = tuple[str, str, str]


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


def compare_pairs(answers: Mapping[str, Iterable[Record]], convention: Convention) -> Pairs:
    """Every pair of methods, in every score of COMPARED. answers: records of one run, by the name of the method."""
    found: Pairs = {}
    for scores, is_covered in COVERED.items():
        own = {name: {one.key[:3]: one for one in records if is_covered(one)} for name, records in answers.items()}
        found |= _pairs_in(scores, own, convention)
    return found


def _pairs_in(scores: tuple[str, ...], answers: Mapping[str, dict[Key, Record]], convention: Convention) -> Pairs:
    found: Pairs = {score: {} for score in scores}
    known: dict[tuple[str, tuple[Key, ...]], dict[str, _Drawn]] = {}
    for a, b in permutations(answers, 2):
        keys = tuple(sorted(answers[a].keys() & answers[b].keys()))
        if not keys:
            continue
        for name in (a, b):
            if (name, keys) not in known:
                known[name, keys] = _draw([answers[name][key] for key in keys], scores, convention)
        own, other = known[a, keys], known[b, keys]
        for score in own.keys() & other.keys():
            found[score][a, b] = _pair(own[score], other[score], -1 if score == SECONDS else 1)
    return found


@dataclass(frozen=True)
class _Drawn:
    value: float
    draws: Array
    n: int


def _draw(records: list[Record], scores: tuple[str, ...], convention: Convention) -> dict[str, _Drawn]:
    """Those of the scores that some of these records count for."""
    statistics = statistics_of(records, convention) | {SECONDS: median([record.total_s or 0.0 for record in records])}
    statistics = {name: statistics[name] for name in scores if statistics[name].n}
    drawn = draws_of(statistics, [record.image for record in records])
    whole = np.ones((1, len(records)))
    return {name: _Drawn(float(one.of(whole)[0]), drawn[name], one.n) for name, one in statistics.items()}


def _pair(a: _Drawn, b: _Drawn, sign: int) -> Pair:
    differences = a.draws - b.draws
    better = sign * differences[~np.isnan(differences)]
    share = float(((better > 0) + (better == 0) / 2).mean()) if len(better) else None
    return Pair(interval_of(a.value - b.value, differences, a.n), share)

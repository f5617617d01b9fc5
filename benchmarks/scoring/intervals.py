"""Bootstrap intervals (Efron 1979): how much a score could change with other samples.

A statistic is a function of weights: how often each sample was drawn. With all weights 1 it is the score itself;
thousands of random draws, computed at once as one matrix, give its spread. Statistics that share the weights are
paired, so the interval of a difference or ratio excludes their common variation. We draw pictures, not samples: the
samples of a picture resemble each other, and treating them as independent would make the intervals too narrow.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS, SEED, LEVEL = 2000, 0, 0.95
#: Weights held at a time; limits the memory.
WEIGHTS_AT_ONCE = 4_000_000

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Statistic:
    """of: weights (draws, samples) -> (draws,), NaN where undefined. n: the number of samples it covers."""

    of: Callable[[Array], Array]
    n: int


@dataclass(frozen=True)
class Interval:
    """A score of n samples and the bounds of its interval. value: None if undefined; bounds: None if unknown."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def ratio_of_sums(top: ArrayLike, bottom: ArrayLike, where: ArrayLike = True, epsilon: float = 0.0) -> Statistic:
    """Weighted sum / (weighted sum + epsilon), both over the samples `where`; NaN if the denominator is 0."""
    above, below, chosen = (np.asarray(column, dtype=np.float64) for column in np.broadcast_arrays(top, bottom, where))
    above, below = above * chosen, below * chosen
    return Statistic(lambda weights: _divide(weights @ above, weights @ below + epsilon), int(chosen.sum()))


def mean(values: ArrayLike, where: ArrayLike = True) -> Statistic:
    """Weighted mean over the samples `where`; NaN if none of them is drawn."""
    return ratio_of_sums(values, 1.0, where)


def median(values: ArrayLike) -> Statistic:
    """The median of all values, each repeated by its weight; the mean of the two middle ones if even, as in numpy."""
    column = np.asarray(values, dtype=np.float64)
    order = np.argsort(column, kind="stable")

    def of(weights: Array) -> Array:
        reached = np.cumsum(weights[:, order], axis=1)
        total = reached[:, -1:]
        lower = (reached > (total - 1) // 2).argmax(1)
        upper = (reached > total // 2).argmax(1)
        middle: Array = (column[order][lower] + column[order][upper]) / 2
        return middle

    return Statistic(of, len(column))


def difference(a: Statistic, b: Statistic) -> Statistic:
    """a - b on the same draws."""
    return Statistic(lambda weights: a.of(weights) - b.of(weights), a.n)


def ratio(a: Statistic, b: Statistic) -> Statistic:
    """a / b on the same draws; NaN where b is 0."""
    return Statistic(lambda weights: _divide(a.of(weights), b.of(weights)), a.n)


def _divide(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)


def bootstrap(
    statistics: Mapping[str, Statistic], groups: Sequence[str], *, draws: int = DRAWS, seed: int = SEED
) -> dict[str, Interval]:
    """Each statistic's value on all samples, with a percentile interval from drawing whole groups.

    groups: the picture that each sample belongs to. With fewer than two groups the spread is unknown and the bounds
    are None. Draws in which a statistic is undefined are left out. Raises ValueError without samples.
    """
    if not len(groups):
        raise ValueError("there are no samples to draw from")
    drawn = draws_of(statistics, groups, draws=draws, seed=seed)
    everything = np.ones((1, len(groups)))
    return {
        name: interval_of(float(statistic.of(everything)[0]), drawn[name], statistic.n)
        for name, statistic in statistics.items()
    }


def draws_of(
    statistics: Mapping[str, Statistic], groups: Sequence[str], *, draws: int = DRAWS, seed: int = SEED
) -> dict[str, Array]:
    """Each statistic's value in every draw of whole groups: (draws,), NaN where undefined; (0,) below two groups.

    The same groups and seed give the same draws, so values of two calls can be compared draw by draw.
    """
    _, members = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(members.max()) + 1
    drawn: dict[str, list[Array]] = {name: [np.empty(0)] for name in statistics}
    if n_groups > 1:
        for weights in _weights(n_groups, members, draws, seed):
            for name, statistic in statistics.items():
                drawn[name].append(statistic.of(weights))
    return {name: np.concatenate(values) for name, values in drawn.items()}


def _weights(n_groups: int, members: NDArray[np.intp], draws: int, seed: int) -> Iterator[Array]:
    """Weights (some, n), `draws` rows in all: how often each sample's group was drawn in `n_groups` draws."""
    rng = np.random.default_rng(seed)
    at_once = max(1, WEIGHTS_AT_ONCE // len(members))
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        picks = rng.integers(n_groups, size=(rows, n_groups)) + n_groups * np.arange(rows)[:, None]
        counts = np.bincount(picks.ravel(), minlength=rows * n_groups).reshape(rows, n_groups)
        yield counts[:, members].astype(np.float64)


def interval_of(value: float, drawn: Array, n: int) -> Interval:
    """The interval of a value from its draws (draws,); draws in which it is undefined (NaN) are left out."""
    values = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(values):
        return Interval(None if np.isnan(value) else value, None, None, n)
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(value, float(low), float(high), n)

"""Weighted statistics against numpy on repeated samples, and the bootstrap against a loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring.intervals import Array, Interval, bootstrap, difference, mean, median, ratio, ratio_of_sums

values_and_weights = st.lists(st.tuples(st.floats(0.1, 1e6), st.integers(0, 4)), min_size=1, max_size=12).filter(
    lambda pairs: any(weight for _, weight in pairs)
)


def weighted(weights: list[int]) -> Array:
    return np.array([weights], dtype=float)


@given(values_and_weights)
def test_weights_are_repetitions(pairs: list[tuple[float, int]]) -> None:
    values, weights = map(list, zip(*pairs, strict=True))
    repeated = np.repeat(values, weights)
    assert mean(values).of(weighted(weights))[0] == pytest.approx(repeated.mean(), rel=1e-9)
    assert median(values).of(weighted(weights))[0] == pytest.approx(np.median(repeated), rel=1e-12)
    top = np.arange(1, len(values) + 1)
    share = np.repeat(top, weights).sum() / repeated.sum()
    assert ratio_of_sums(top, values).of(weighted(weights))[0] == pytest.approx(share, rel=1e-9)


def test_pairs_share_their_weights() -> None:
    a, b = mean([1.0, 2.0, 6.0]), mean([1.0, 1.0, 2.0])
    weights = np.array([[1, 1, 1], [2, 0, 1], [0, 0, 3]], dtype=float)
    np.testing.assert_allclose(difference(a, b).of(weights), a.of(weights) - b.of(weights))
    np.testing.assert_allclose(ratio(a, b).of(weights), a.of(weights) / b.of(weights))


@given(values_and_weights, st.integers(0, 2**12 - 1))
def test_a_mean_of_some_samples_leaves_the_others_out(pairs: list[tuple[float, int]], bits: int) -> None:
    values, weights = map(list, zip(*pairs, strict=True))
    where = [bool(bits >> place & 1) for place in range(len(values))]
    statistic = mean(values, where)
    assert statistic.n == sum(where)
    repeated = [
        value for value, weight, chosen in zip(values, weights, where, strict=True) for _ in range(weight * chosen)
    ]
    found = statistic.of(weighted(weights))[0]
    assert np.isnan(found) if not len(repeated) else found == pytest.approx(np.mean(repeated), rel=1e-9)


def test_undefined_is_none() -> None:
    assert bootstrap({"x": mean([0.5, 0.5], [False, False])}, ["a", "b"])["x"] == Interval(None, None, None, 0)
    assert bootstrap({"x": ratio_of_sums([0, 0], [0, 0])}, ["a", "b"])["x"] == Interval(None, None, None, 2)
    assert bootstrap({"x": ratio(mean([1.0]), mean([0.0]))}, ["a"])["x"] == Interval(None, None, None, 1)


@pytest.mark.parametrize("at_once", [1, 7, 4_000_000])
def test_bootstrap_is_a_loop_over_draws(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("benchmarks.scoring.intervals.WEIGHTS_AT_ONCE", at_once * 5)
    values, other = np.array([0.1, 0.9, 0.4, 0.7, 0.2]), np.array([0.2, 0.5, 0.5, 0.1, 0.3])
    groups = ["b", "a", "b", "c", "a"]  # as numbers: 1 0 1 2 0
    found = bootstrap({"mean": mean(values), "ratio": ratio(median(values), median(other))}, groups, draws=200, seed=5)
    members = {"a": [1, 4], "b": [0, 2], "c": [3]}
    means, ratios = [], []
    rng = np.random.default_rng(5)
    for _ in range(200):
        picked = np.concatenate([members["abc"[group]] for group in rng.integers(3, size=3)])
        means.append(values[picked].mean())
        ratios.append(np.median(values[picked]) / np.median(other[picked]))
    for name, drawn, value in (
        ("mean", means, values.mean()),
        ("ratio", ratios, np.median(values) / np.median(other)),
    ):
        interval = found[name]
        assert interval.n == 5
        expected = (value, *np.quantile(drawn, (0.025, 0.975)))
        assert (interval.value, interval.low, interval.high) == pytest.approx(expected, rel=1e-12)


def test_one_picture_says_nothing_about_the_spread() -> None:
    assert bootstrap({"x": mean([0.0, 1.0])}, ["a", "a"])["x"] == Interval(0.5, None, None, 2)
    assert bootstrap({"x": mean([0.0, 1.0])}, ["a", "b"], draws=0)["x"] == Interval(0.5, None, None, 2)
    with pytest.raises(ValueError, match="no samples"):
        bootstrap({"x": mean([])}, [])


def test_intervals_of_many_samples_are_the_normal_ones() -> None:
    """An independent formula: mean +- 1.96 standard errors."""
    values = np.random.default_rng(1).random(2000)
    interval = bootstrap({"x": mean(values)}, [str(number) for number in range(2000)])["x"]
    error = 1.96 * values.std() / np.sqrt(2000)
    assert interval.low == pytest.approx(values.mean() - error, abs=error / 10)
    assert interval.high == pytest.approx(values.mean() + error, abs=error / 10)


def test_samples_of_one_picture_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(2).random(100)
    alone = bootstrap({"x": mean(values)}, [str(number) for number in range(100)])["x"]
    copied = bootstrap({"x": mean(np.tile(values, 3))}, [str(number) for number in range(100)] * 3)["x"]
    assert copied.low == pytest.approx(alone.low)
    assert copied.high == pytest.approx(alone.high)

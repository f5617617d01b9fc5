"""Plots and their sentences: what is drawn is what the rows say."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.scoring.intervals import Interval
from benchmarks.scoring.pairs import Pair, Pairs
from demo.board import plots, takeaways
from demo.board.filters import Filters, rows_of, samples_of, with_labels
from demo.board.paradigms import ALL_MASK, OTHER, PATCH_TEXT, POLYGON, paradigm_of
from demo.board.results import Results


@pytest.fixture
def rows(results: Results) -> pd.DataFrame:
    return with_labels(rows_of(Filters("scenes", "known"), results))


@pytest.fixture
def masks(results: Results) -> pd.DataFrame:
    samples = with_labels(samples_of(Filters("scenes", "known"), results))
    return samples[samples["correct"].isna()]


def table(**columns: Any) -> pd.DataFrame:
    """Rows of one workload with the given columns."""
    length = len(next(iter(columns.values())))
    fixed = {"dataset": "scenes", "data": "x", "split": "known", "n": 9, "hardware": "cpu", "threads": 1}
    fixed |= {"questions": 9, "seed": 0}
    frame = pd.DataFrame({**{name: [value] * length for name, value in fixed.items()}, **columns})
    for name in ("gIoU", "dialogue"):
        if name in frame and f"{name} low" not in frame:
            frame[f"{name} low"], frame[f"{name} high"] = frame[name] - 0.01, frame[name] + 0.01
    return frame


def test_every_row_is_a_bubble_where_the_row_says(rows: pd.DataFrame) -> None:
    figure = plots.glance(rows)
    bubbles = {trace.text[0]: trace for trace in figure.data if trace.text}
    assert set(bubbles) == {"STAMP", "Polygon text", "Patch text"}
    for _, row in rows.iterrows():
        bubble = bubbles[row["label"]]
        assert (bubble.x[0], bubble.y[0]) == (row["median s"], row["gIoU"])
        assert bubble.y[0] + bubble.error_y.array[0] == pytest.approx(row["gIoU high"])
        assert bubble.y[0] - bubble.error_y.arrayminus[0] == pytest.approx(row["gIoU low"])
        assert bubble.marker.color == paradigm_of(row["method"]).colour


def test_bubbles_have_areas_in_proportion_to_memory() -> None:
    sizes = plots._sizes_px(pd.Series([400.0, 100.0, None]))
    assert sizes[0] / sizes[1] == pytest.approx(2)
    assert sizes[2] == plots.SMALLEST_PX
    assert len(set(plots._sizes_px(pd.Series([None, None], dtype=object)))) == 1


def dominated(row: pd.Series, others: pd.DataFrame) -> bool:
    better = (others["median s"] <= row["median s"]) & (others["gIoU"] >= row["gIoU"])
    strictly = (others["median s"] < row["median s"]) | (others["gIoU"] > row["gIoU"])
    return bool((better & strictly).any())


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_no_row_beats_in_both(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"median s": rng.integers(1, 9, 12) / 10, "gIoU": rng.integers(1, 9, 12) / 10})
    expected = {(row["median s"], row["gIoU"]) for _, row in rows.iterrows() if not dominated(row, rows)}
    front = plots.pareto_front(rows, "gIoU")
    assert {(row["median s"], row["gIoU"]) for _, row in front.iterrows()} == expected


def test_bars_are_the_phases_of_each_row(rows: pd.DataFrame) -> None:
    figure = plots.phases(rows)
    assert [trace.name for trace in figure.data] == ["prefill (reading the question)", "decode (writing words)"]
    for trace, seconds in zip(figure.data, (0.01, 0.02), strict=True):
        assert list(trace.x) == [seconds] * len(rows)
        assert list(trace.y) == list(rows["label"])


def test_samples_are_drawn_one_by_one(masks: pd.DataFrame) -> None:
    spread = {trace.name: sorted(trace.x) for trace in plots.iou_spread(masks).data}
    points = {trace.name: sorted(trace.x) for trace in plots.tokens(masks).data if trace.mode == "markers"}
    for label, own in masks.groupby("label"):
        assert spread[label] == sorted(own["iou"])
        assert points[label] == sorted(own["tokens"])


def test_the_triangle_is_relative_to_the_fastest() -> None:
    rows = table(
        label=["a", "b"], gIoU=[0.5, 0.8], dialogue=[0.9, 0.4], paradigm=["other"] * 2, **{"median s": [0.1, 0.4]}
    )
    first, second = plots.trilemma(rows).data
    assert list(first.r)[:3] == [0.9, 0.5, 1.0]
    assert list(second.r)[:3] == [0.4, 0.8, 0.25]


def test_nothing_to_draw_is_said_in_the_figure() -> None:
    none = Results().rows.assign(label=[])
    samples = Results().samples.assign(label=[])
    for figure in (
        plots.glance(none),
        plots.trilemma(none),
        plots.phases(none),
        plots.iou_spread(samples),
        plots.tokens(samples),
    ):
        assert len(figure.data) == 0
        assert figure.layout.annotations[0].text


def test_figures_have_no_background_of_their_own(rows: pd.DataFrame, masks: pd.DataFrame) -> None:
    for figure in (
        plots.glance(rows),
        plots.trilemma(rows),
        plots.phases(rows),
        plots.iou_spread(masks),
        plots.tokens(masks),
    ):
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.height


def test_names_are_never_markup() -> None:
    rows = table(
        label=["<a href='http://x'>x</a>"], gIoU=[0.5], paradigm=["other"], **{"median s": [0.1], "peak MB": [None]}
    )
    assert plots.glance(rows).data[0].text[0] == "&lt;a href='http://x'&gt;x&lt;/a&gt;"


@pytest.mark.parametrize(
    ("low", "words"),
    [
        (0.001, "slow has the highest gIoU, 0.80."),
        (-0.001, "slow has the highest gIoU, 0.80, but it is not significantly better than fast."),
    ],
)
def test_the_verdict_is_by_pairs_not_by_overlap(low: float, words: str) -> None:
    rows = table(label=["fast", "slow"], gIoU=[0.795, 0.8], dialogue=[None, None], **{"median s": [0.078, 1.4]})
    pair = Pair(Interval(0.005, low, 0.009, 9), 0.96)
    assert takeaways.verdict(rows, {"gIoU": {("slow", "fast"): pair}}) == f"fast is the fastest (78 ms). {words}"


def test_a_single_method_is_described_by_its_answers() -> None:
    rows = table(label=["a"], gIoU=[None], dialogue=[0.5], **{"median s": [0.1]})
    assert takeaways.verdict(rows.assign(n=0), {}) == "a: dialogue 0.50 in 100 ms (median of 9)."
    untimed = rows.assign(**{"median s": None})
    assert takeaways.verdict(untimed, {}) == "a: dialogue 0.50."  # where seconds do not count


@pytest.mark.parametrize("pairs", [{}, {"gIoU": {}, "dialogue": {}}])
def test_without_pairs_nothing_is_said_to_be_even(pairs: Pairs) -> None:
    rows = table(label=["fast", "slow"], gIoU=[0.2, 0.8], dialogue=[None, None], **{"median s": [0.078, 1.4]})
    assert takeaways.verdict(rows, pairs) == "fast is the fastest (78 ms). slow has the highest gIoU, 0.80."


def test_there_is_no_verdict_over_different_workloads() -> None:
    rows = table(label=["a", "b"], gIoU=[0.5, 0.8], dialogue=[0.5, 0.5], **{"median s": [0.1, 0.2]})
    rows.loc[1, "split"] = "style"
    assert takeaways.verdict(rows, {}) == takeaways.balance(rows) == takeaways.SEVERAL


def test_the_price_of_a_token_is_the_slope() -> None:
    tokens = np.arange(10, 30)
    line = pd.DataFrame({"label": "a", "tokens": tokens, "total_s": 0.1 + 0.007 * tokens})
    found = takeaways.token_line(line)
    assert found == pytest.approx((0.007, 0.1))
    assert takeaways.token_cost(line) == "An answer with masks takes 20 tokens. Each extra token adds 7 ms."
    assert takeaways.token_line(line.assign(tokens=13)) is None


def test_misses_are_counted() -> None:
    samples = pd.DataFrame({"label": ["a"] * 4 + ["b"] * 4, "iou": [0, 0.05, 0.9, 0.8, 0, 0.5, 0.5, 0.5]})
    assert takeaways.spread(samples) == "a misses completely (IoU below 0.1) in 50% of requests, b in 25%."


def test_the_longest_phase() -> None:
    rows = pd.DataFrame({"label": ["a", "b"], "phases": [{"mask": 3.0, "decode": 1.0}, {"decode": 6.0, "mask": 4.0}]})
    assert (
        takeaways.longest_phase(rows)
        == "a spends 75% of its time on masks. The longest phase of b, decode (writing words), takes 60%."
    )


@pytest.mark.parametrize(
    ("label", "paradigm"),
    [
        ("stamp", ALL_MASK), ("stamp:nf4+none", ALL_MASK), ("stamp_nano", ALL_MASK), ("polygon:published", POLYGON),
        ("patch_text", PATCH_TEXT), ("stampede", OTHER), ("backbone", OTHER),
    ],
)  # fmt: skip
def test_methods_have_their_paradigm(label: str, paradigm: object) -> None:
    assert paradigm_of(label) is paradigm

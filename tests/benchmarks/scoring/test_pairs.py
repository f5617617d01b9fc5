"""Pairs against a loop over draws, and verdicts that overlapping intervals would miss."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.pairs import SECONDS, compare_pairs
from benchmarks.scoring.records import Record
from benchmarks.scoring.scores import scores_of

OURS = CONVENTIONS["ours"]


def answer(number: int, iou: float, total_s: float = 0.1) -> Record:
    """A request for a mask with this IoU, of a picture of its own."""
    return Record(
        "scenes", "known", f"s{number}", f"{number}.png", "segment", "segment it", "stamp", "", "float32", "ok", number,
        intersection=round(1000 * iou), union=1000, predicted=round(1000 * iou), no_target=False, total_s=total_s,
    )  # fmt: skip


def question(number: int, correct: bool) -> Record:
    return replace(
        answer(1000 + number, 0), image=f"{number}.png", kind="count", union=None, intersection=None, predicted=None,
        no_target=None, correct=correct, total_s=None,
    )  # fmt: skip


def test_a_small_but_steady_lead_is_decided_though_intervals_overlap() -> None:
    ious = np.random.default_rng(0).random(60) * 0.9
    a, b = ([answer(n, iou + lead) for n, iou in enumerate(ious)] for lead in (0.05, 0.0))
    alone = [scores_of(records, OURS)["gIoU"] for records in (a, b)]
    assert alone[1] is not None
    assert alone[0] is not None
    assert alone[1].high is not None
    assert alone[0].low is not None
    assert alone[1].high > alone[0].low  # the intervals overlap
    pairs = compare_pairs({"a": a, "b": b}, OURS)["gIoU"]
    assert pairs["a", "b"].is_decided
    assert (pairs["a", "b"].probability, pairs["b", "a"].probability) == (1.0, 0.0)
    assert pairs["a", "b"].difference.value == pytest.approx(0.05, abs=0.001)
    assert pairs["b", "a"].difference.value == pytest.approx(-0.05, abs=0.001)


def test_the_probability_is_a_share_of_draws() -> None:
    rng = np.random.default_rng(3)
    ious = {name: rng.integers(0, 3, 12) / 2 for name in ("a", "b")}
    records = {name: [answer(n, iou) for n, iou in enumerate(own)] for name, own in ious.items()}
    pair = compare_pairs(records, OURS)["gIoU"]["a", "b"]
    order = np.argsort([f"s{n}" for n in range(12)])
    groups = np.argsort(np.argsort([f"{n}.png" for n in order]))  # pictures are numbered by name
    by_group = (ious["a"] - ious["b"])[order][np.argsort(groups)]
    rng = np.random.default_rng(0)
    differences = np.array([by_group[rng.integers(12, size=12)].mean() for _ in range(2000)])
    expected = np.mean(differences > 1e-12) + np.mean(abs(differences) <= 1e-12) / 2
    assert pair.probability == pytest.approx(expected, abs=0.005)
    assert pair.difference.low == pytest.approx(np.quantile(differences, 0.025))


def test_equal_methods_are_even() -> None:
    records = [answer(n, n / 9) for n in range(9)]
    pair = compare_pairs({"a": records, "b": records}, OURS)["gIoU"]["a", "b"]
    assert pair.probability == 0.5
    assert not pair.is_decided


def test_only_common_samples_count() -> None:
    a = [answer(n, 0.5) for n in range(8)]
    b = [answer(n, 0.9 if n < 4 else 0.1) for n in range(4)]
    pair = compare_pairs({"a": a, "b": b}, OURS)["gIoU"]["b", "a"]
    assert pair.difference.n == 4
    assert pair.difference.value == pytest.approx(0.4)
    assert compare_pairs({"a": a[:4], "b": [answer(9, 1.0)]}, OURS)["gIoU"] == {}


def test_a_crash_leaves_out_its_own_sample_and_no_other() -> None:
    """Of the seconds where an answer was not timed, of the scores where the annotation could not be read."""
    a, b = ([answer(n, iou, total_s) for n in range(8)] for iou, total_s in ((0.9, 0.1), (0.2, 0.5)))
    untimed: dict[str, Any] = {"status": "error", "error": "It broke.", "total_s": None}
    a[1], b[2], b[3] = replace(a[1], **untimed), replace(b[2], **untimed), replace(b[3], **untimed)
    a[4] = replace(a[4], **untimed | {"intersection": None, "union": None, "predicted": None})
    pairs = compare_pairs({"a": a, "b": b}, OURS)
    faster, better = pairs[SECONDS]["a", "b"], pairs["gIoU"]["a", "b"]
    assert (faster.difference.n, faster.difference.value, faster.probability) == pytest.approx((4, -0.4, 1.0))
    assert (better.difference.n, better.difference.value) == pytest.approx((7, (0.9 * 6 - 0.2 * 5) / 7))
    assert compare_pairs({"a": a[:1], "b": b[2:3]}, OURS)[SECONDS] == {}


def test_fewer_seconds_are_better() -> None:
    fast, slow = ([answer(n, 0.5, total_s=total_s + n / 100) for n in range(8)] for total_s in (0.1, 0.2))
    pair = compare_pairs({"fast": fast, "slow": slow}, OURS)[SECONDS]["fast", "slow"]
    assert pair.difference.value == pytest.approx(-0.1)
    assert pair.probability == 1.0


def test_a_method_without_masks_is_compared_in_words_alone() -> None:
    both = [answer(n, 0.5) for n in range(6)]
    a = both + [question(n, n != 2) for n in range(6)]
    words = [question(n, False) for n in range(6)]
    pairs = compare_pairs({"a": a, "words": words}, OURS)
    assert pairs["gIoU"] == pairs[SECONDS] == {}
    assert pairs["dialogue"]["a", "words"].probability == 1.0


def test_one_picture_decides_nothing() -> None:
    pair = compare_pairs({"a": [answer(0, 1.0)], "b": [answer(0, 0.0)]}, OURS)["gIoU"]["a", "b"]
    assert pair.probability is None
    assert not pair.is_decided

"""Scores against torchmetrics, the official evaluations' numbers, a table by hand and loops over pixels."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.classification import BinaryJaccardIndex

from benchmarks.scoring.metrics import CONVENTIONS, Convention, Overlaps, mask_statistics, overlap_px
from stamp.pictures.masks import decode_rle

OFFICIAL = json.loads((Path(__file__).parents[1] / "official" / "mask_scores.json").read_text())
OURS = CONVENTIONS["ours"]

sizes = st.tuples(st.integers(1, 8), st.integers(1, 8))
triples = sizes.flatmap(lambda size: st.tuples(*[hnp.arrays(bool, size)] * 3))


Row = tuple[int, int, int, bool, bool, bool]


def overlaps(rows: list[Row]) -> Overlaps:
    """From (intersection, union, predicted, no target, usable, crashed); a question stands in between."""
    columns = [np.array([*column, 0], dtype=np.array(column).dtype) for column in zip(*rows, strict=True)]
    return Overlaps(np.array([True] * len(rows) + [False]), *columns)


def scores(rows: list[Row], convention: Convention) -> dict[str, float]:
    weights = np.ones((1, len(rows) + 1))
    return {name: float(one.of(weights)[0]) for name, one in mask_statistics(overlaps(rows), convention).items()}


@given(triples)
def test_pixels_are_counted_as_in_a_loop(masks: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    predicted, truth, ignore = masks
    both = either = area = 0
    for place in product(*map(range, predicted.shape)):
        if not ignore[place]:
            both += bool(predicted[place] and truth[place])
            either += bool(predicted[place] or truth[place])
            area += bool(predicted[place])
    assert overlap_px(predicted, truth, ignore) == (both, either, area)
    assert overlap_px(predicted, truth) == overlap_px(predicted, truth, np.zeros_like(truth))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="the same shape"):
        overlap_px(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="the same shape"):
        overlap_px(np.zeros((2, 3), bool), np.zeros((2, 3), bool), np.zeros((3, 3), bool))


@given(st.lists(triples, min_size=1, max_size=5))
def test_giou_and_ciou_are_those_of_torchmetrics(samples: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """torchmetrics takes ignored pixels as a label, and says 0 where both masks are empty unless told."""
    jaccard = BinaryJaccardIndex(ignore_index=-1, zero_division=1)
    total = BinaryJaccardIndex(ignore_index=-1, zero_division=1)
    expected, rows = [], []
    for predicted, truth, ignore in samples:
        label = torch.from_numpy(np.where(ignore, -1, truth).astype(np.int64))
        expected.append(float(jaccard(torch.from_numpy(predicted.astype(np.int64)), label)))
        total.update(torch.from_numpy(predicted.astype(np.int64)), label)
        rows.append((*overlap_px(predicted, truth, ignore), False, True, False))
    found = scores(rows, OURS)
    assert found["gIoU"] == found["target gIoU"] == pytest.approx(np.mean(expected), abs=1e-6)
    if sum(row[1] for row in rows):
        assert found["cIoU"] == pytest.approx(float(total.compute()), abs=1e-6)
    else:
        assert np.isnan(found["cIoU"])


@pytest.mark.parametrize("name", ["lisa", "gres"])
def test_the_official_evaluations_come_out(name: str) -> None:
    rows = []
    for sample in OFFICIAL["samples"]:
        if name == "gres" and sample["ignore"]:
            continue
        ignore = decode_rle(sample["ignore"]) if sample["ignore"] else None
        counts = overlap_px(decode_rle(sample["predicted"]), decode_rle(sample["truth"]), ignore)
        rows.append((*counts, sample["no_target"], True, False))
    found = scores(rows, CONVENTIONS[name])
    for key, expected in OFFICIAL[name].items():
        assert found[key] == pytest.approx(expected, abs=1e-6), key


#: intersection, union, predicted, no target, usable, crashed; IoU by ours, LISA's and ReLA's evaluation.
TABLE = [
    ((50, 100, 60, False, True, False), 0.5, 0.5, 0.5),
    ((70, 100, 80, False, True, False), 0.7, 0.7, 0.7),
    ((90, 100, 95, False, True, False), 0.9, 0.9, 0.9),
    ((0, 40, 0, False, True, False), 0.0, 0.0, 0.0),  # nothing predicted
    ((0, 40, 0, False, False, False), 0.0, 0.0, 0.0),  # unusable
    ((0, 0, 0, True, True, False), 1.0, 1.0, 1.0),  # rightly nothing
    ((0, 30, 30, True, True, False), 0.0, 0.0, 0.0),  # something where nothing is
    ((0, 0, 0, True, False, False), 0.0, 1.0, 0.0),  # unusable where nothing is
    ((0, 0, 0, False, True, False), 1.0, 1.0, 0.0),  # a target without a pixel
    ((0, 0, 0, True, False, True), 0.0, 0.0, 0.0),  # a crash where nothing is
]


@pytest.mark.parametrize(("column", "name"), [(1, "ours"), (2, "lisa"), (3, "gres")])
def test_ious_by_hand(column: int, name: str) -> None:
    every = overlaps([row[0] for row in TABLE])
    np.testing.assert_allclose(every.ious(CONVENTIONS[name])[:-1], [row[column] for row in TABLE], atol=1e-6)


def test_scores_by_hand() -> None:
    assert scores([row[0] for row in TABLE], OURS) == pytest.approx(
        {
            "gIoU": (0.5 + 0.7 + 0.9 + 1 + 1) / 10,
            "target gIoU": (0.5 + 0.7 + 0.9 + 1) / 6,
            "cIoU": 210 / 410,
            "P@0.5": 4 / 6,
            "P@0.7": 3 / 6,
            "P@0.9": 2 / 6,
            "N-acc": 1 / 4,
            "T-acc": 3 / 6,
        }
    )
    counts = {name: one.n for name, one in mask_statistics(overlaps([row[0] for row in TABLE]), OURS).items()}
    assert [counts[name] for name in ("gIoU", "cIoU", "P@0.5", "T-acc", "N-acc")] == [10, 10, 6, 6, 4]


def test_the_thresholds_belong_to_the_better_side() -> None:
    found = scores([(7, 10, 8, False, True, False), (9, 10, 10, False, True, False)], OURS)
    assert (found["P@0.7"], found["P@0.9"]) == (1.0, 0.5)

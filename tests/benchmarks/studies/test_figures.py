"""Figures of a model card."""

import pytest

from benchmarks.scoring.records import Record
from benchmarks.studies.figures import scores_by_source


def record(sample: str, intersection: int, no_target: bool = False) -> Record:
    return Record(
        dataset="photos", split="heldout", sample=sample, image=sample, kind="segment", prompt="segment the cat",
        method="stamp", variant="", precision="float32", status="ok", order=0, text="", raw_output="", masks=[],
        intersection=intersection, union=10, predicted=max(intersection, 1), no_target=no_target, correct=None,
    )  # fmt: skip


def test_photographs_are_scored_by_the_folder_they_lie_in() -> None:
    records = [record("zoo/a-segment-0", 5), record("zoo/b-segment-0", 9), record("street/c-segment-0", 2)]
    scores = scores_by_source([*records, record("street/c-segment_absent-0", 0, no_target=True)])
    assert list(scores) == ["street", "zoo"]
    assert scores["zoo"]["target gIoU"]["value"] == pytest.approx(0.7) and scores["zoo"]["target gIoU"]["n"] == 2
    assert scores["street"]["target gIoU"]["value"] == pytest.approx(0.2) and scores["street"]["P@0.5"]["value"] == 0

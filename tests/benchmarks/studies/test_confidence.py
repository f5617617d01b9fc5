"""What a confidence is worth, counted by hand."""

from dataclasses import replace

import pytest

from benchmarks.scoring.records import Record
from benchmarks.studies.confidence import calibrate

MASK = {"size": [1, 10], "counts": "0"}


def record(confidence: float | None, intersection: int, *, no_target: bool = False) -> Record:
    name = f"{confidence}-{intersection}"
    return Record(
        dataset="photos", split="heldout", sample=name, image=name, kind="segment", prompt="segment the cat",
        method="stamp", variant="", precision="float32", status="ok", order=0, text="", raw_output="", masks=[MASK],  # type: ignore[list-item]
        intersection=intersection, union=10, predicted=max(intersection, 1), no_target=no_target, correct=None,
        confidence=confidence,
    )  # fmt: skip


def test_the_limit_is_where_masks_become_more_often_right_than_wrong() -> None:
    """Right from an IoU of 0.5 on: wrong, wrong, right, wrong | right, wrong, right, right, right."""
    values = [(0.1, 4), (0.2, 0), (0.3, 5), (0.4, 1), (0.5, 9), (0.6, 2), (0.7, 8), (0.8, 8), (0.9, 6)]
    found = calibrate([record(*pair) for pair in reversed(values)])
    assert (found["right_iou"], found["sets"]) == (0.5, ["photos/heldout"])
    # Pooled: 0.1 0.2 -> 0; 0.3 0.4 -> 1/2 with 0.5 0.6 -> 1/2, which begins at 0.3
    assert found["unsure_below"] == pytest.approx(0.3)
    assert (found["unsure"]["n"], found["unsure"]["right"]) == (2, 0.0)
    assert (found["sure"]["n"], found["sure"]["right"]) == (7, pytest.approx(5 / 7))
    assert sum(point["n"] for point in found["points"]) == 9
    assert [point["confidence"] for point in found["points"]] == sorted(
        point["confidence"] for point in found["points"]
    )


def test_a_mask_of_what_is_not_there_is_wrong_and_answers_without_one_do_not_count() -> None:
    absent, declined = record(0.9, 0, no_target=True), replace(record(None, 0), masks=[])
    found = calibrate([record(0.8, 9), absent, declined, record(None, 9)])
    assert [point["right"] for point in found["points"]] == [1.0, 0.0]
    assert (found["unsure"], found["unsure_below"]) == (None, pytest.approx(0.8))
    with pytest.raises(ValueError, match="no record has a mask with a confidence"):
        calibrate([declined])


def test_a_model_that_is_never_right_is_never_sure() -> None:
    found = calibrate([record(0.5, 0), record(0.6, 1)])
    assert (found["unsure_below"], found["sure"], found["unsure"]["n"]) == (1.0, None, 2)

"""What a record counts for, whatever became of it, and what the answers of a group cost: tables by hand."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.scoring.metrics import CONVENTIONS, Convention
from benchmarks.scoring.records import Record, Status
from benchmarks.scoring.scores import against, cost_of, iou_of, scores_of
from tests.benchmarks.scoring.test_records import MASK, QUESTION

STATUSES: tuple[Status, ...] = ("ok", "invalid", "error")


def with_status(record: Record, status: Status, **changes: Any) -> Record:
    return replace(record, status=status, error="It broke." if status == "error" else None, **changes)


def absent(status: Status) -> Record:
    """A request for something that is not there, answered without a mask."""
    return with_status(MASK, status, masks=[], no_target=True, intersection=0, union=0, predicted=0)


def present(status: Status) -> Record:
    """A request whose counts alone would give IoU 0.8."""
    return with_status(MASK, status, no_target=False, intersection=80, union=100, predicted=90)


def value_of(records: list[Record], name: str) -> float | None:
    interval = scores_of(records, Convention(), draws=0)[name]
    return None if interval is None else interval.value


@pytest.mark.parametrize("status", STATUSES)
def test_only_a_usable_answer_earns_anything(status: Status) -> None:
    """A crash predicts no pixel, as a right refusal does, and must not be taken for one."""
    earned = float(status == "ok")
    assert iou_of(absent(status)) == earned
    assert value_of([absent(status)], "gIoU") == value_of([absent(status)], "N-acc") == earned
    assert iou_of(present(status)) == pytest.approx(0.8 * earned)


@pytest.mark.parametrize("status", STATUSES)
def test_no_evaluation_takes_a_crash_for_an_empty_mask(status: Status) -> None:
    """LISA's takes an output that cannot be read for one."""
    scored = scores_of([absent(status)], CONVENTIONS["lisa"], draws=0)["gIoU"]
    assert scored is not None
    assert scored.value == float(status != "error")


@pytest.mark.parametrize("status", STATUSES)
def test_invalid_is_what_cannot_be_read_and_not_what_crashed(status: Status) -> None:
    share = 0.5 if status == "invalid" else 0.0
    assert value_of([present("ok"), with_status(present(status), status), QUESTION], "invalid") == share


def test_questions_and_requests_for_masks_are_scored_apart() -> None:
    """A crashed question is a wrong one; a question says nothing of masks, a mask nothing of dialogue."""
    right, wrong = replace(QUESTION, correct=True), with_status(QUESTION, "error", correct=False)
    both = scores_of([right, right, wrong, present("ok"), absent("ok")], Convention(), draws=0)
    assert {name: (one.value, one.n) for name, one in both.items() if one is not None} == {
        "gIoU": (pytest.approx(0.9), 2),
        "target gIoU": (pytest.approx(0.8), 1),
        "cIoU": (pytest.approx(0.8), 2),
        "P@0.5": (1.0, 1),
        "P@0.7": (1.0, 1),
        "P@0.9": (0.0, 1),
        "N-acc": (1.0, 1),
        "T-acc": (1.0, 1),
        "invalid": (0.0, 2),
        "dialogue": (pytest.approx(2 / 3), 3),
    }


def test_costs_are_of_what_was_measured() -> None:
    """Ten answers of 1..10 s, six of them without a mask phase, and one that crashed; some without seconds."""
    made = [
        replace(MASK, total_s=float(n), new_tokens=2 * n, forward_passes=None, phases_s={"decode": n / 2})
        for n in range(1, 11)
    ]
    made[:4] = [replace(one, phases_s=one.phases_s | {"mask": 1.0}) for one in made[:4]]
    made.append(with_status(MASK, "error", total_s=None, new_tokens=None, forward_passes=None, phases_s={}))
    cost = cost_of(made)
    assert (cost.n, cost.median_s) == (10, 5.5)
    assert cost.p90_s == pytest.approx(9.1)
    assert (cost.median_tokens, cost.median_passes) == (11.0, None)
    assert cost.median_phases_s == {"decode": 2.75, "mask": 0.0}
    nothing = cost_of([made[-1]])
    assert (nothing.n, nothing.median_s, nothing.p90_s, nothing.median_tokens) == (0, None, None, None)
    untimed = cost_of([replace(one, total_s=None, phases_s={}) for one in made])
    assert (untimed.n, untimed.median_s, untimed.median_phases_s, untimed.median_tokens) == (0, None, {}, 11.0)


def test_a_method_is_compared_on_common_samples_and_times_on_requests_for_masks() -> None:
    own = [replace(present("ok"), sample=str(n), image=str(n), method="other", total_s=3.0 * n) for n in (1, 2, 3, 9)]
    own.append(replace(QUESTION, sample="q", method="other", total_s=1000.0, correct=True))
    reference = [
        replace(present("ok"), sample=str(n), image=str(n), intersection=50, total_s=1.0 * n) for n in (1, 2, 3)
    ]
    reference.append(replace(QUESTION, sample="q", total_s=1.0, correct=False))
    found = against(own, reference, Convention())
    values = {name: one and (one.value, one.n) for name, one in found.items()}
    assert values == {
        "times_s": (pytest.approx(3.0), 3),
        "gIoU": (pytest.approx(0.3), 3),
        "dialogue": (1.0, 1),
    }
    first, third = (replace(one, intersection=None, union=None, predicted=None) for one in (own[0], reference[2]))
    found = against([first, *own[1:]], [*reference[:2], third, *reference[3:]], Convention())  # one read by both
    assert found["gIoU"] is not None
    assert (found["gIoU"].value, found["gIoU"].n) == pytest.approx((0.3, 1))
    elsewhere = [replace(record, split="another") for record in reference]
    assert against(own, elsewhere, Convention()) == {"times_s": None, "gIoU": None, "dialogue": None}

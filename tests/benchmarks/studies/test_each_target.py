"""`python -m benchmarks each`: which mask belongs to which name, by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.scoring.records import Record
from benchmarks.scoring.scores import iou_of
from benchmarks.studies.each_target import study_targets, target_ious, wanted_objects
from stamp.pictures.masks import Rle, encode_rle

ANSWER = "Sure, here are the segmentation masks for the cat: <|seg|> and the dog: <|seg|>"


def columns(*which: int) -> np.ndarray:
    mask = np.zeros((4, 8), dtype=bool)
    mask[:, list(which)] = True
    return mask


CAT, DOG, BEE = columns(0, 1), columns(4, 5), columns(7)
BOTH = CAT | DOG
SCENE: dict[str, Any] = {
    "id": "known-0003",
    "objects": [{"noun": n, "rle": encode_rle(m)} for n, m in (("cat", CAT), ("bee", BEE), ("dog", DOG))],
    "expressions": [{"rle": encode_rle(BEE)}, {"rle": encode_rle(BOTH)}],
}


def record(method: str, masks: list[np.ndarray], raw: str = ANSWER, sample: str = "known-0003-e1") -> Record:
    drawn = np.any(masks, axis=0) if masks else np.zeros_like(CAT)
    codes: list[Rle] = [encode_rle(mask) for mask in masks]
    areas = (int((drawn & BOTH).sum()), int((drawn | BOTH).sum()), int(drawn.sum()))
    return Record(
        "scenes", "known", sample, "known-0003.webp", "segment_several", "Segment both.",
        method, "", "float32", "ok", 0, text="", raw_output=raw, masks=codes,
        intersection=areas[0], union=areas[1], predicted=areas[2], no_target=False,
    )  # fmt: skip


def test_the_objects_of_a_request_are_those_inside_its_mask() -> None:
    assert [noun for noun, _ in wanted_objects(SCENE, "known-0003-e1")] == ["cat", "dog"]
    assert [noun for noun, _ in wanted_objects(SCENE, "known-0003-e0")] == ["bee"]


@pytest.mark.parametrize(
    ("masks", "raw", "cat", "dog"),
    [
        ([CAT, DOG], ANSWER, 1.0, 1.0),
        ([DOG, CAT], ANSWER, 0.0, 0.0),  # the joint mask is right
        ([BOTH, BOTH], ANSWER, 0.5, 0.5),
        ([DOG, CAT], ANSWER.replace("cat", "x").replace("dog", "cat").replace("x", "dog"), 1.0, 1.0),
        ([CAT], "the cat: <|seg|>", 1.0, 0.0),
        ([CAT, DOG], ANSWER.replace("dog", "horse"), 1.0, 0.0),
        ([], "There is no cat in the image.", 0.0, 0.0),
    ],
)
def test_a_mask_counts_for_the_object_it_is_named_after(
    masks: list[np.ndarray], raw: str, cat: float, dog: float
) -> None:
    found = target_ious(record("stamp", masks, raw), SCENE)
    assert found == {("known-0003-e1", "cat"): cat, ("known-0003-e1", "dog"): dog}


def test_methods_are_compared_on_the_same_requests() -> None:
    other = SCENE | {"id": "known-0004"}
    rows = study_targets(
        [
            record("stamp", [CAT, DOG]),
            record("stamp_shared", [BOTH, BOTH]),
            record("polygon", [CAT, DOG], "the cat: <1,2> and the dog: <3,4>"),
            record("stamp", [], "no", sample="known-0004-e1"),
            replace(record("stamp", [BEE, BEE]), kind="segment"),
        ],
        {"known-0003": SCENE, "known-0004": other},
    )
    assert list(rows) == ["stamp", "stamp_shared"]
    assert [(one["each"].n, one["each"].value) for one in rows.values()] == [(2, 1.0), (2, 0.5)]
    assert [one["difference"].value for one in rows.values()] == [0.0, -0.5]
    assert [(one["joint"].n, one["joint"].value) for one in rows.values()] == [(1, 1.0), (1, 1.0)]
    assert [one["joint difference"].value for one in rows.values()] == [0.0, 0.0]


def test_joint_masks_are_compared_request_by_request() -> None:
    other = SCENE | {"id": "known-0004"}
    half = record("stamp_shared", [CAT, CAT], sample="known-0004-e1")
    rows = study_targets(
        [record("stamp", [CAT, DOG]), record("stamp", [CAT, DOG], sample="known-0004-e1"),
         record("stamp_shared", [CAT, DOG]), half],
        {"known-0003": SCENE, "known-0004": other},
    )  # fmt: skip
    alone = iou_of(half)
    assert 0 < alone < 1
    joint = rows["stamp_shared"]["joint difference"]
    assert (joint.n, joint.value, joint.low, joint.high) == pytest.approx((2, (alone - 1) / 2, alone - 1, 0))


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scenes.jsonl").write_text(json.dumps(SCENE) + "\n")
    lines = [record("stamp", [CAT, DOG]), record("stamp_shared", [BOTH, DOG])]
    (tmp_path / "records.jsonl").write_text("".join(one.to_line() for one in lines))
    assert main(["each", str(tmp_path), "--root", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()[2:]
    assert first.startswith("| stamp | 2 | 1.000 ")
    assert second.startswith("| stamp_shared | 2 | 0.750 ")
    assert second.endswith(" | 1 | 1.000 | +0.000 |")
    (tmp_path / "records.jsonl").write_text(replace(lines[0], kind="segment").to_line())
    assert main(["each", str(tmp_path), "--root", str(tmp_path)]) == 2
    assert "no answers with <|seg|>" in capsys.readouterr().err

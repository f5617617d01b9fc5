"""The gallery of the worst answers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets.sample import Dataset, MaskSample, Truth
from benchmarks.reporting.gallery import PANEL_PX, TEXT_PX, draw_gallery, worst_of_each_kind
from benchmarks.scoring.records import Record
from benchmarks.scoring.scores import iou_of
from stamp.pictures.masks import encode_rle

RIGHT = np.zeros((40, 60), dtype=bool)
RIGHT[:20] = True


def record(sample: str, kind: str, intersection: int, union: int) -> Record:
    return Record(
        dataset="d", split="known", sample=sample, image="a.png", kind=kind, prompt="segment the very long thing " * 5,
        method="stamp", variant="", precision="float32", status="ok", order=0, text="Sure", raw_output="Sure",
        masks=[encode_rle(~RIGHT)], intersection=intersection, union=union, predicted=union, no_target=False,
    )  # fmt: skip


def test_the_worst_of_each_kind_worst_first() -> None:
    records = [record("a", "name", 5, 10), record("b", "name", 1, 10), record("c", "place", 9, 10)]
    records += [record("d", "place", 3, 10), record("e", "name", 0, 0)]
    question = dataclasses.replace(
        records[0], sample="q", no_target=None, intersection=None, union=None, predicted=None, correct=True, masks=[]
    )
    assert [one.sample for one in worst_of_each_kind([*records, question], 1)] == ["b", "d"]
    assert [one.sample for one in worst_of_each_kind(records, 9)] == ["b", "d", "a", "c", "e"]
    assert iou_of(records[-1]) == 1.0


def test_a_panel_shows_the_right_mask_beside_the_predicted_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (60, 40), "white").save(path)
    sample = MaskSample("d", "known", "a", "name", path, "segment it", False, lambda: Truth(RIGHT))
    dataset = Dataset("d", ("known",), (sample,), ())
    sheet = np.asarray(draw_gallery([record("a", "name", 0, 2400)], dataset))
    assert sheet.shape == (PANEL_PX + TEXT_PX, 3 * (2 * PANEL_PX + 12), 3)
    top, bottom = 5, 35
    is_white = (sheet[[[top], [bottom]], [[5, PANEL_PX + 5]]] == 255).all(-1)
    assert is_white.tolist() == [[False, True], [True, False]]
    with pytest.raises(ValueError, match="'z'"):
        draw_gallery([record("z", "name", 0, 1)], dataset)

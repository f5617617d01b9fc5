"""What the benchmark asks about held-out photographs."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import DatasetError, MaskSample, QuestionSample
from benchmarks.fingerprint import sha256_of
from tests.training.photographs import LABELS, write_coco, write_jsonl


@pytest.mark.parametrize("write", [write_jsonl, write_coco])
def test_held_out_pictures_are_asked_by_name_by_absence_and_by_yes_and_no(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path)
    (tmp_path / "heldout.txt").write_text("two.jpg\nthree.jpg\n")
    dataset = open_dataset("photos", ("all",), tmp_path)
    again = open_dataset("photos", ("heldout",), tmp_path)
    assert [sample.prompt for sample in dataset.samples] == [sample.prompt for sample in again.samples]
    asked: dict[str, list[MaskSample]] = {}
    for sample in dataset.samples:
        if isinstance(sample, MaskSample):
            asked.setdefault(f"{sample.image.stem} {sample.kind}", []).append(sample)
    (three,) = asked["three segment"]
    assert three.prompt == "segment the cow"
    assert np.array_equal(three.truth().mask, LABELS["three"] == 1)
    two = {sample.prompt: sample.truth().mask for sample in asked["two segment"]}
    assert set(two) == {"segment the cat", "segment all cars"}
    assert np.array_equal(two["segment all cars"], LABELS["two"] >= 2)
    for sample in asked["two segment_absent"]:
        assert sample.no_target
        assert sample.prompt == "segment the cow"
        assert not sample.truth().mask.any()
    questions = [sample for sample in dataset.samples if isinstance(sample, QuestionSample)]
    answers = {(sample.image.stem, sample.prompt): sample.accepted for sample in questions}
    assert answers["three", "Is there a cow in the picture?"] == ("yes",)
    assert answers["two", "Is there a cow in the picture?"] == ("no",)
    assert len(questions) == 4


@pytest.mark.parametrize("write", [write_jsonl, write_coco])
def test_another_mask_noun_or_choice_of_pictures_is_other_data(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path)
    names = {path.name for path in open_dataset("photos", ("all",), tmp_path).files}
    expected = {"annotations.jsonl", "marks.txt", "three.png"} if write is write_jsonl else {"instances.json"}
    assert names == expected | {"heldout.txt", "three.jpg"}
    hashes = set()
    for name in ("nothing", *sorted(names)):
        for path in tmp_path.rglob(name):
            path.write_bytes(path.read_bytes().rstrip(b"\n") + b" \n")
        hashes.add(sha256_of(open_dataset("photos", ("all",), tmp_path).files))
    assert len(hashes) == 1 + len(names)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="neither annotations.jsonl nor instances.json"):
        open_dataset("photos", ("all",), tmp_path)
    (write_jsonl(tmp_path) / "heldout.txt").unlink()
    with pytest.raises(DatasetError, match="no photograph with masks that a heldout.txt names"):
        open_dataset("photos", ("all",), tmp_path)

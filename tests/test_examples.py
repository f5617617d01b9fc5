"""The examples of the page, asked of the shipped model: each answer is right."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stamp import StampPredictor
from stamp.pictures.masks import Mask, decode_rle, intersection_over_union

FOLDER = Path(__file__).parent.parent / "assets" / "examples"
ENTRIES = json.loads((FOLDER / "examples.json").read_text())


@pytest.fixture(scope="module")
def stamp() -> StampPredictor:
    return StampPredictor.from_pretrained(device="cpu", dtype="float32")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['image']}: {entry['prompt']}")
def test_the_answer_is_right(stamp: StampPredictor, entry: dict[str, Any]) -> None:
    answer = stamp.segment(stamp.encode_image(FOLDER / entry["image"]), entry["prompt"])
    words = answer.text.lower().replace(",", " ").replace(".", " ").split()
    assert not entry["says"] or set(words) & set(entry["says"]), answer.text
    if entry["mask"] is None:
        assert len(answer.masks) == 0, answer.text
    else:
        assert len(answer.masks), answer.text
        joined: Mask = np.any(answer.masks, axis=0)
        assert intersection_over_union(joined, decode_rle(entry["mask"])) > 0.5


def test_photographs_are_among_them() -> None:
    assert len({entry["image"] for entry in ENTRIES if entry["image"].endswith(".jpg")}) == 2
    licences = (FOLDER / "LICENCES.md").read_text()
    assert all(path.name in licences for path in FOLDER.glob("*.jpg"))

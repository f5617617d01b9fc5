"""What is said under an answer that is not worth much: when, about which masks, and with which figures."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from demo.chat import asking, confidence
from demo.chat.confidence import KNOWS, UNSURE, Confidence, knowledge, read_confidence, unsure_html, unsure_labels
from demo.chat.visit import Visit
from demo.html import literal
from demo.loading import ModelSlot
from stamp import Done
from tests.demo.fake import FakePredictor

HALF = Confidence(0.7, 0.24)


def test_the_record_beside_a_checkpoint_is_read(tmp_path: Path) -> None:
    path = tmp_path / "confidence.json"
    assert read_confidence(path) is None
    read_confidence.cache_clear()
    path.write_text(json.dumps({"unsure_below": 0.7, "unsure": {"right": 0.24, "n": 25}}))
    assert read_confidence(path) == HALF
    never_unsure = tmp_path / "sure.json"
    never_unsure.write_text(json.dumps({"unsure_below": 0.1, "unsure": None}))
    assert read_confidence(never_unsure) is None


def test_what_the_model_knows_is_counted(tmp_path: Path) -> None:
    nouns = {"apple": {"noto": 2}, "bee": {"noto": 1, "photographs": 3}, "cat": {"photographs": 1}}
    (tmp_path / "nouns.json").write_text(json.dumps(nouns))
    assert knowledge(tmp_path / "nouns.json") == KNOWS.format(3, 2)


def test_only_masks_below_the_limit_are_unsure() -> None:
    labels, values = ["a", "b", "c", "d"], [0.69, 0.7, None, 0.1]
    assert unsure_labels(labels, values, HALF) == ["a", "d"]
    assert unsure_labels(labels, values, None) == []
    assert unsure_html([], HALF, is_first=True) == ""
    assert unsure_html(["a", "d"], HALF, is_first=False) == (
        f'<div class="unsure">{literal(UNSURE.format("a and d", 2))}</div>'
    )
    assert literal("<b>") in unsure_html(["<b>"], HALF, is_first=False)


class Doubting(FakePredictor):
    """Is sure of the left half, not of the right one."""

    def stream(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        for event in super().stream(*arguments, **options):
            if isinstance(event, Done):
                event = Done(replace(event.segmentation, scores=[0.9, 0.6], first_probability=0.8))
            yield event


@pytest.mark.parametrize("is_embedded", [True, False])
def test_an_answer_says_so_and_the_first_time_what_the_model_knows(
    monkeypatch: pytest.MonkeyPatch, is_embedded: bool
) -> None:
    monkeypatch.setattr(asking, "read_confidence", lambda: HALF)
    monkeypatch.setattr(confidence, "knowledge", lambda: "It knows little.")
    slot = ModelSlot(lambda: Doubting(), is_embedded=is_embedded).start()  # type: ignore[arg-type, return-value]
    slot.wait(10)
    visit = Visit(Image.new("RGB", (40, 30)))
    for _ in range(2):
        list(asking.ask(slot, "segment both halves", visit=visit))
    first, second = (message["content"] for message in visit.messages if message["role"] == "assistant")
    if is_embedded:
        said = literal(UNSURE.format("right half", 2))
        assert f'<div class="unsure">{said}{literal(" It knows little.", goes_on=True)}</div>' in first
        assert f'<div class="unsure">{literal(UNSURE.format("right half", 2))}</div>' in second
    else:
        assert "unsure" not in first + second

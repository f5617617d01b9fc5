"""The page with a model whose masks come when the answer ends: names at once, a note, then all masks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo.chat import asking
from demo.chat.chat import MASKS_COMING, Draft, noun
from demo.chat.visit import Visit
from demo.html import literal
from stamp import Done, MaskComing, MaskReady, TextDelta
from stamp.conversation import StreamEvent
from tests.demo.fake import FakePredictor, half, slot_of

NOTE = literal(MASKS_COMING)
LEFT, RIGHT, NOTHING = (half((6, 8), part) for part in range(3))


def ready(index: int, mask: np.ndarray) -> MaskReady:
    return MaskReady(index, mask, np.zeros((2, 2), np.float32), None)


def add(draft: Draft, *events: str | MaskComing | MaskReady) -> Draft:
    for event in events:
        match event:
            case str():
                draft = draft.add_text(TextDelta(event))
            case MaskComing():
                draft = draft.add_place()
            case _:
                draft = draft.add_mask(event)
    return draft


def test_names_stand_in_the_answer_before_their_masks_and_a_note_says_so() -> None:
    draft = add(Draft(first_mask=3), "Sure, the cat: ", MaskComing(0), " and the dog: ", MaskComing(1), ".")
    named = f"Sure&#44; the {noun(3, 'cat')} and the {noun(4, 'dog')}&#46;"
    assert draft.html() == f'{named}<br><span class="muted">{NOTE}</span>'
    draft = add(draft, ready(0, LEFT))
    assert NOTE in draft.html()
    assert add(draft, ready(1, RIGHT)).html() == named
    empty = add(draft, ready(1, NOTHING)).html()
    assert empty == f"Sure&#44; the {noun(3, 'cat')} and the {noun(4, 'dog', is_empty=True)}&#46;"
    assert draft.labels == ["cat", "dog"]


class Late(FakePredictor):
    """Its masks follow the text."""

    def stream(self, *given: Any, **options: Any) -> Iterator[StreamEvent]:
        late: list[MaskReady] = []
        for event in super().stream(*given, **options):
            if isinstance(event, MaskReady):
                yield MaskComing(len(late))
                late.append(event)
                continue
            if isinstance(event, Done):
                yield from late
            yield event


@pytest.mark.parametrize("error", [None, RuntimeError("broken")])
def test_an_answer_ends_as_with_masks_in_its_midst(error: Exception | None) -> None:
    """All but the note; a failure in between leaves the words and no note."""
    shown: list[list[str]] = []
    visits = []
    for fake in (FakePredictor(error=error), Late(error=error)):
        visit = Visit(Image.new("RGB", (40, 30), "white"))
        visits.append(visit)
        pages: list[dict[str, Any]] = list(asking.ask(slot_of(fake), "segment", visit=visit))
        shown.append([page["chat"][-1]["content"] for page in pages if "chat" in page])
    early, late = visits
    assert shown[0][-1] == shown[1][-1]
    assert NOTE not in shown[1][-1]
    assert early.messages == late.messages
    if error is None:
        assert [one.label for one in late.masks] == [one.label for one in early.masks] == ["left half", "right half"]
        assert all(np.array_equal(a.mask, b.mask) for a, b in zip(early.masks, late.masks, strict=True))
        assert late.visible == early.visible == [0, 1]
        assert len(late.downloads) == len(early.downloads) > 0
    else:
        assert late.masks == []

"""What an answer looks like, and the thread that writes it."""

import threading
import time
from collections.abc import Iterator
from html import unescape
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo.chat.chat import (
    LOOKING,
    QUEUED,
    WENT_WRONG,
    Draft,
    Encoded,
    Failed,
    FirstToken,
    Question,
    Refused,
    Waiting,
    answer_events,
    finished_html,
    noun,
    readout,
)
from demo.html import literal
from demo.loading import LOAD_FAILED, LOADING, ModelSlot
from stamp import Done, MaskReady, TextDelta
from stamp.pictures.visualization import mask_colour
from tests.demo.fake import FakePredictor, half, segmentation, slot_of

PICTURE = Image.new("RGB", (8, 6))
HOSTILE = (
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "<|seg|>",
    "![x](http://example.org/x.png)",
    "**bold** _it_ `code` # head\n1. one\n- two\n    indented",
    "$$x^2$$ www.example.org a@b.c &lt; &amp;",
)


def ready(index: int, mask: np.ndarray) -> MaskReady:
    return MaskReady(index, mask, np.zeros((2, 2), np.float32), None)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_exactly_and_no_markup_survives(text: str) -> None:
    html = literal(text)
    assert not set(html.replace("<br>", "").replace("&nbsp;", "")) & set("<>`*_[]()!$~|\\\"'.:@")
    assert unescape(html.replace("<br>", "\n")).replace("\xa0", " ") == text


def test_blanks_and_line_breaks_survive() -> None:
    assert literal("  a  b\r\nc") == "&nbsp; a&nbsp; b<br>c"


def test_words_that_go_on_break_at_their_blanks() -> None:
    """With a blank that does not break in front of every word, a phone broke lines in the middle of words."""
    assert literal(" and the  pear", goes_on=True) == " and the&nbsp; pear"
    draft = Draft()
    for piece in ("Sure", ", here", " is", " the", " pear"):
        draft = draft.add_text(TextDelta(piece))
    assert draft.html() == "Sure&#44; here is the pear"


def test_a_name_has_the_colour_of_its_mask() -> None:
    looks = f'style="background:{mask_colour(1)};color:#000000"'
    assert noun(1, "<hat>") == (f'<span class="noun noun-1" tabindex="0" {looks}>&#60;hat&#62;</span>')
    assert "(nothing found)" in noun(2, "hat", is_empty=True)


def test_draft_colours_the_names_in_escaped_text_and_counts_through_the_dialogue() -> None:
    draft = Draft(first_mask=2, taken=("hat", "mask 1"), note="Looking")
    assert "Looking" in draft.html()
    draft = draft.add_text(TextDelta("<b> the h")).add_text(TextDelta("at: ")).add_mask(ready(0, half((6, 8), 0)))
    draft = draft.add_mask(ready(1, half((6, 8), 2))).add_text(TextDelta(" and")).add_mask(ready(2, half((6, 8), 0)))
    assert draft.labels == ["hat 2", "hat 3", "mask 2"]
    named = f"&#60;b&#62; the {noun(2, 'hat')} {noun(3, 'hat 3', is_empty=True)}"
    assert draft.html() == f"{named} and{noun(4, 'mask 2')}"


def test_a_name_stands_for_its_mask_and_needs_no_colon() -> None:
    draft = Draft()
    for text in ("Here are the masks for the person: ", ", the 'bag': ", " and the shoe: "):
        draft = draft.add_text(TextDelta(text)).add_mask(ready(len(draft.are_empty), half((6, 8), 0)))
    person, bag, shoe = noun(0, "person"), noun(1, "bag"), noun(2, "shoe")
    assert draft.html() == f"Here are the masks for the {person}&#44; the &#39;{bag}&#39; and the {shoe}"
    assert draft.add_text(TextDelta(". Anything else?")).html().endswith(f"the {shoe}&#46; Anything else&#63;")
    assert draft.add_text(TextDelta("Look: there")).html().endswith(f"the {shoe} Look&#58; there")
    plain = Draft().add_text(TextDelta("It says: ")).add_text(TextDelta("no"))
    assert plain.html() == "It says&#58; no"


def test_readout_names_every_figure() -> None:
    done = segmentation(["Sure", 0], [half((6, 8), 0)], (6, 8), stopped=True)
    assert readout(done, 0.314) == (
        "Answered in 0.4 s · 1 mask · stopped", "first token after 0.31 s · text 0.30 s (2 tokens) · 1 mask 0.06 s",
    )  # fmt: skip
    assert readout(segmentation(["No"], [], (6, 8)), None) == ("Answered in 0.4 s", "text 0.30 s (1 token)")


def test_an_empty_answer_says_so() -> None:
    assert "an empty answer" in finished_html(Draft(), segmentation([], [], (6, 8)))
    assert "stopped before" in finished_html(Draft(), segmentation([], [], (6, 8), stopped=True))


def events_of(slot: ModelSlot, question: Question, stop: threading.Event | None = None) -> list[Any]:
    return [event for batch in answer_events(slot, question, stop or threading.Event()) for event in batch]


def test_events_of_an_answer_in_order() -> None:
    predictor = FakePredictor()
    events = events_of(slot_of(predictor), Question("segment", PICTURE))
    kinds = [type(event) for event in events]
    assert kinds[:3] == [Waiting, Encoded, FirstToken]
    assert kinds[3:] == [TextDelta, TextDelta, MaskReady, TextDelta, MaskReady, TextDelta, Done]
    assert events[0].reason == LOOKING
    assert predictor.conversations[0][0].image is events[1].image


def test_vision_runs_once_and_the_picture_stays_in_the_first_turn() -> None:
    predictor = FakePredictor()
    slot = slot_of(predictor)
    first = events_of(slot, Question("segment", PICTURE))[1].image
    turns = tuple(predictor.conversations[0])
    events_of(slot, Question("again", PICTURE, first, turns))
    assert predictor.encoded == 1
    assert [turn.image for turn in predictor.conversations[1]] == [first, None]


def test_bad_input_is_refused_and_a_failure_tells_nothing() -> None:
    assert events_of(slot_of(FakePredictor()), Question("  ", PICTURE))[-1] == Refused("Type a request first.")
    slot = slot_of(FakePredictor(error=RuntimeError("secret path /root")))
    assert events_of(slot, Question("segment", PICTURE))[-1] == Failed(WENT_WRONG)
    assert slot.get().lock.acquire(blocking=False)


def test_a_model_that_did_not_load_is_reported() -> None:
    slot = ModelSlot(lambda: 1 / 0).start()  # type: ignore[arg-type, return-value]
    assert events_of(slot, Question("segment", PICTURE))[-1] == Failed(LOAD_FAILED)
    assert slot.has_failed
    assert slot.status() == LOAD_FAILED


def test_a_question_waits_for_the_model() -> None:
    may_load = threading.Event()
    slot = ModelSlot(lambda: may_load.wait(5) and FakePredictor()).start()  # type: ignore[arg-type, return-value]
    answer = answer_events(slot, Question("segment", PICTURE), threading.Event())
    assert next(answer) == [Waiting(LOADING)]
    assert slot.status() == LOADING
    may_load.set()
    assert isinstance([event for batch in answer for event in batch][-1], Done)
    assert slot.status() == "stamp-nano · 1.0 M parameters · cpu · float32"


def test_stop_ends_the_text_and_keeps_what_was_written() -> None:
    stop = threading.Event()
    events = []
    for batch in answer_events(slot_of(FakePredictor(["a"] * 50, pause_s=0.02)), Question("segment", PICTURE), stop):
        events += batch
        if any(isinstance(event, TextDelta) for event in batch):
            stop.set()
    assert isinstance(events[-1], Done)
    assert events[-1].segmentation.finish_reason == "stopped"
    assert 1 <= events[-1].segmentation.new_tokens < 50


def test_a_closed_page_stops_the_thread_and_frees_the_model() -> None:
    slot = slot_of(FakePredictor(["a"] * 500, pause_s=0.02))
    answer = answer_events(slot, Question("segment", PICTURE), threading.Event())
    wait_for_text(answer)
    assert not slot.get().lock.acquire(blocking=False)
    answer.close()  # what Gradio does when the page is closed or the event cancelled
    assert slot.get().lock.acquire(timeout=2)


def test_answers_never_overlap_and_the_second_says_that_it_waits() -> None:
    slot = slot_of(FakePredictor(["a"] * 500, pause_s=0.02))
    first = answer_events(slot, Question("segment", PICTURE), threading.Event())
    wait_for_text(first)
    stop = threading.Event()
    second = answer_events(slot, Question("segment", PICTURE), stop)
    assert next(second) == [Waiting(QUEUED)]
    assert next(second) == []
    stop.set()  # a stop while waiting: no answer at all
    assert [event for batch in second for event in batch] == []
    first.close()


def wait_for_text(answer: Iterator[list[Any]]) -> None:
    deadline = time.monotonic() + 5
    while not any(isinstance(event, TextDelta) for event in next(answer)):
        assert time.monotonic() < deadline

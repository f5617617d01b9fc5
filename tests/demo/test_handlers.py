"""What the page does on each event, without a browser."""

import threading
from pathlib import Path

import pytest

from demo import handlers
from demo.chat import asking
from demo.html import literal
from demo.loading import ModelInfo
from tests.demo.fake import FakePredictor, ask, slot_of, visit_of
from tests.demo.pictures import write_bad, write_good


@pytest.mark.parametrize("name", ["corrupt", "no image", "empty", "huge", "bomb", "strip"])
def test_a_bad_picture_gives_a_sentence_and_changes_nothing_else(tmp_path: Path, name: str) -> None:
    path, words = write_bad(tmp_path)[name]
    page = handlers.choose_picture(str(path), visit_of())
    assert set(page) == {"picture", "picture_notice"}
    assert page["picture"] is None
    assert literal(words) in page["picture_notice"]


def test_a_web_address_is_refused() -> None:
    page = handlers.choose_picture("https://example.org/cat.png", None)
    assert literal("not a web address") in page["picture_notice"]


def test_every_kind_of_good_picture_begins_a_visit(tmp_path: Path) -> None:
    for path, size in write_good(tmp_path).values():
        page = handlers.choose_picture(str(path), None)
        assert page["visit"].picture.size == size
        assert page["stage"].mode == "RGB"


def test_a_new_picture_ends_the_answer_about_the_old_one(tmp_path: Path) -> None:
    old = visit_of()
    answer = asking.ask(slot_of(FakePredictor(["a"] * 500, pause_s=0.02)), "segment", visit=old)
    next(answer)
    threading.Timer(0.1, lambda: list(answer)).start()  # Gradio goes on asking for updates
    page = handlers.choose_picture(str(write_good(tmp_path)["alpha.png"][0]), old)
    assert old.is_left
    assert old.stop.is_set()
    assert old.idle.is_set()  # nothing of the old answer can reach the page any more
    assert page["chat"] == [] == old.messages


def test_a_refused_picture_does_not_disturb_the_answer(tmp_path: Path) -> None:
    visit = visit_of()
    visit.begin_answer()
    handlers.choose_picture(str(write_bad(tmp_path)["corrupt"][0]), visit)
    assert not visit.is_left
    assert not visit.stop.is_set()


def test_opacity_redraws() -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)
    assert handlers.set_opacity(100, visit)["stage"].getpixel((5, 15)) == (0, 238, 238)
    assert handlers.set_opacity(10, None) == {}


def test_a_new_conversation_keeps_picture_and_features() -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)
    page = handlers.restart(visit)
    fresh = page["visit"]
    assert page["chat"] == []
    assert (fresh.encoded, fresh.picture) == (visit.encoded, visit.picture)
    assert (fresh.turns, fresh.masks, fresh.downloads, fresh.asked) == ([], [], [], [])
    assert visit.stop.is_set()
    assert handlers.restart(None) == {"chat": [], "chat_notice": ""}


def test_a_known_thing_becomes_a_request() -> None:
    assert handlers.choose_noun(["ice cream"])["prompt"]["value"] == "segment the ice cream"


def test_the_model_line_tells_of_the_embedded_model_only() -> None:
    info = ModelInfo("stamp-nano", is_embedded=True, parameters=5_000_000, device="cpu", dtype="float32")
    assert handlers.PUBLISHED in handlers.about(info)
    assert handlers.about(ModelInfo("x/y", is_embedded=False, parameters=1, device="cpu", dtype="float32")) == ""


def test_stop_frees_the_model_within_one_token() -> None:
    predictor, visit = FakePredictor(["word "] * 500, pause_s=0.02), visit_of()
    answer = asking.ask(slot_of(predictor), "segment", visit=visit)
    while predictor.written < 3:
        next(answer)
    handlers.stop_answer(visit)
    written = predictor.written
    list(answer)
    assert predictor.lock.acquire(timeout=5)
    predictor.lock.release()
    assert written <= predictor.written <= written + 1

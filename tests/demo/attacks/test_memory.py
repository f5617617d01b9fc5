"""Pictures and dialogues are bounded in bytes, and nothing stays of those who have gone."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from demo import handlers
from demo.board.explorer import ORDERS
from demo.board.race_panel import run_race
from demo.board.sources import Sources
from demo.chat.visit import Visit
from demo.chat.visits import DROPPED, VisitStore
from demo.decoding import DECODER
from demo.html import notice
from demo.security import housekeeping, presence
from demo.security.limits import Limits
from demo.ui import MAX_SESSIONS, launch_options
from stamp.pictures.images import load_image
from tests.demo.attacks.stranger import eventually, strangers_page
from tests.demo.attacks.test_files import META
from tests.demo.attacks.test_queue import begin_visit
from tests.demo.fake import FakePredictor
from tests.demo.racers import ScriptedPool, racers
from tests.demo.runs import write_run

ONE = 320 * 320 * 4  # bytes of a visit


def visit_of() -> Visit:
    return Visit(Image.new("RGB", (320, 320)))


def test_the_store_keeps_what_was_used_last_and_fits() -> None:
    store = VisitStore(3 * ONE)
    for name in "abc":
        store.put(name, visit_of())
    first = store.get("a")
    assert first is not None
    second = store.get("b")
    assert second is not None
    store.get("a")
    store.put("d", visit_of())
    assert store.n_bytes == 3 * ONE
    assert store.get("c") is None
    assert [store.was_dropped(name) for name in "acbc"] == [False, True, False, False]  # told once


def test_what_the_model_keeps_of_a_visit_is_forgotten_with_it() -> None:
    """Another picture and a closed tab end it; New chat asks about the same features."""
    predictor, forgotten = FakePredictor(), list[Visit]()
    store = VisitStore(9 * ONE, forget=forgotten.append)
    first = visit_of()
    first.encoded = predictor.encode_image(first.picture)
    store.put("a", first)
    again = first.restarted()
    store.put("a", again)
    assert forgotten == []
    other = visit_of()
    store.put("a", other)
    assert forgotten == [again]
    store.drop_unused(lambda session, used: True)
    assert forgotten == [again, other]


def test_the_page_tells_the_model_what_to_forget() -> None:
    with strangers_page(FakePredictor()) as stranger:
        visits, predictor = stranger.demo.visits, stranger.demo.slot.get()
        for name in "ab":
            visit = visit_of()
            visit.encoded = predictor.encode_image(visit.picture)
            predictor.conversation_cache.keep_image(name.encode(), visit.encoded)
            visits.put(name, visit)
        kept = visits.get("b")
        visits.drop_unused(lambda session, used: session == "a")
        assert kept is not None
        assert kept.encoded is not None
        (image,) = predictor.conversation_cache._images.values()
        assert image.embeds is kept.encoded.embeds


def test_a_visit_that_grows_makes_others_go() -> None:
    store = VisitStore(3 * ONE)
    for name in "abc":
        store.put(name, visit_of())
    dropped, growing = store.get("a"), store.get("c")
    store.get("b")
    assert dropped is not None
    assert growing is not None
    growing.messages = [{"content": "x" * (ONE // 4)}]
    store.put("c", growing)
    assert store.get("a") is None
    assert dropped.stop.is_set()
    assert dropped.is_left


def test_one_that_is_too_large_alone_is_not_kept() -> None:
    store = VisitStore(ONE - 1)
    store.put("a", visit_of())
    assert store.n_bytes == 0
    assert store.was_dropped("a")


def test_invented_sessions_pin_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "TAB_GRACE_S", 0.5)
    with strangers_page() as stranger:
        for number in range(8):
            begin_visit(stranger, f"invented-{number}")
        assert stranger.demo.visits.n_bytes > 0
        eventually(lambda: stranger.demo.visits.n_bytes == 0)
        eventually(lambda: not stranger.demo.server_app.state_holder.session_data)
        ended = stranger.call(stranger.index("opacity"), [50], "invented-3")
        assert notice(DROPPED) in str(ended["output"]["data"])


def test_the_owner_is_told_that_a_visit_made_room() -> None:
    small = Limits(visit_bytes=5_000)
    with strangers_page(limits=small) as stranger:
        with stranger.reading("heartbeat/first"):
            begin_visit(stranger, "first")
            begin_visit(stranger, "second")
            ended = stranger.call(stranger.index("prompt", "submit"), ["hi", "none"], "first")
        assert notice(DROPPED) in str(ended["output"]["data"])


def test_a_closed_tab_is_free_in_seconds_and_an_open_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "TAB_GRACE_S", 0.5)
    with strangers_page() as stranger:
        visits = stranger.demo.visits
        with stranger.reading("heartbeat/tab"):
            begin_visit(stranger, "tab")
            begin_visit(stranger, "no tab")
            eventually(lambda: list(visits._visits) == ["tab"])
        eventually(lambda: not visits._visits)


def test_who_only_reads_stays_after_a_lost_connection_and_makes_room_first() -> None:
    """The tab shows itself once a minute; that it is open is no use of its picture."""
    with strangers_page() as stranger:
        visits = stranger.demo.visits
        for name in ("reads", "asks"):
            begin_visit(stranger, name)
        (timer,) = (
            function
            for function in stranger.demo.fns.values()
            for block, event in function.targets
            if event == "tick" and getattr(stranger.demo.blocks[block or 0], "value", None) == presence.STILL_OPEN_S
        )
        before = dict(visits._used)
        assert stranger.call(timer._id, [], "reads")["success"]
        assert visits._used["reads"] > before["reads"]
        assert visits._used["asks"] == before["asks"]
        assert list(visits._visits) == ["reads", "asks"]
        assert stranger.call(timer._id, [], "never there")["success"]
        assert list(visits._used) == ["reads", "asks"]


def test_the_board_goes_on_for_a_session_that_gradio_has_forgotten(tmp_path: Path) -> None:
    """The browser still shows choices that only the lost session knew."""
    write_run(tmp_path / "results" / "run", tmp_path / "data")
    with strangers_page(sources=Sources(results=tmp_path / "results")) as stranger:
        filtered, listed = stranger.index("filter-dataset"), stranger.index("next", "click")
        filters = ["scenes", *["all"] * (len(stranger.demo.fns[filtered].inputs) - 3), ["stamp"]]
        for made_up in (filters, [["x"], 5, {"a": 1}, *[None] * (len(filters) - 4), 7]):
            assert stranger.call(filtered, [None, *made_up], "lost")["success"]
            assert stranger.call(listed, [ORDERS[0], "run/known/0", *made_up], "lost")["success"]
        ended = stranger.call(stranger.index("sample", "change"), [9, *filters], "lost")
        assert "No sample matches" in str(ended["output"]["data"])


def test_the_page_tells_gradio_that_a_tab_is_open() -> None:
    """Without a heartbeat every tab would look closed."""
    with strangers_page() as stranger:
        assert stranger.demo.config["connect_heartbeat"] is True


def test_gradio_keeps_few_sessions() -> None:
    assert launch_options()["state_session_capacity"] == MAX_SESSIONS <= 500
    with strangers_page() as stranger:
        assert stranger.demo.server_app.state_holder.capacity == MAX_SESSIONS


def test_a_large_picture_is_kept_small(tmp_path: Any) -> None:
    Image.new("RGB", (8000, 5000), "white").save(tmp_path / "large.png")
    with strangers_page() as stranger:
        (path,) = stranger.upload(("large.png", (tmp_path / "large.png").read_bytes()))
        with stranger.reading("heartbeat/tab"):
            assert stranger.call(stranger.index("picture"), [{"path": path, "meta": META}], "tab")["success"]
            assert 0 < stranger.demo.visits.n_bytes < 13_000_000


def page_reads(path: str) -> None:
    assert "visit" in handlers.choose_picture(path, None)


def race_reads(path: str) -> None:
    list(run_race(ScriptedPool(racers()), path, "segment", ["stamp"]))


@pytest.mark.parametrize("read", [page_reads, race_reads])
def test_few_pictures_are_decoded_at_a_time(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    Image.new("RGB", (64, 48), "white").save(tmp_path / "picture.png")
    at_once, most, lock = [0], [0], threading.Lock()

    def slowly(path: Any, *limits: Any) -> Image.Image:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.05)
        with lock:
            at_once[0] -= 1
        return load_image(path)

    monkeypatch.setattr(DECODER, "load", slowly)
    threads = [threading.Thread(target=read, args=(str(tmp_path / "picture.png"),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 2


def test_decoders_rest_and_memory_goes_back_when_no_question_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(housekeeping, "MEMORY_EVERY_S", 0.0)
    monkeypatch.setattr(DECODER, "rest", lambda: ended.append("rest"))
    monkeypatch.setattr(housekeeping, "open_questions", lambda page: 1)
    with strangers_page():
        time.sleep(1.5)
        assert not ended
        monkeypatch.setattr(housekeeping, "open_questions", lambda page: 0)
        eventually(lambda: len(ended) > 0)


def test_what_the_model_keeps_of_conversations_goes_with_the_last_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "EVERY_S", 0.05)
    monkeypatch.setattr(presence, "TAB_GRACE_S", 0.2)
    predictor = FakePredictor()
    kept = predictor.encode_image(Image.new("RGB", (8, 8)))
    with strangers_page(predictor) as stranger:
        page = stranger.demo
        with page.presence.tab("somebody"):
            page.visits.put("somebody", visit_of())
            predictor.conversation_cache.keep_image(b"digest", kept)
            time.sleep(0.5)
            assert predictor.conversation_cache.n_bytes > 0
        eventually(lambda: predictor.conversation_cache.n_bytes == 0)
        assert page.visits.is_empty

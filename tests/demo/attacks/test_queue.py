"""Nobody walks round the queue, and nobody fills it for all others."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image

from demo.chat.gallery import EXAMPLES
from demo.decoding import DECODER
from demo.security import presence
from demo.security.admission import NO_SESSION, STILL_WAITING, refusal
from demo.security.gate import API, ROUTES, Rates, find_route
from demo.security.limits import BUSY, Limits, address_of
from stamp.pictures.images import load_image
from tests.demo.attacks.stranger import Stranger, eventually, strangers_page
from tests.demo.attacks.test_files import META, png
from tests.demo.fake import FakePredictor

SLOW = ["word "] * 2000


@pytest.fixture
def slow() -> Iterator[Stranger]:
    """A page whose answers take a minute."""
    with strangers_page(FakePredictor(SLOW, pause_s=0.03)) as found:
        yield found


def begin_visit(stranger: Stranger, session: str) -> None:
    (path,) = stranger.upload(("white.png", png()))
    assert stranger.call(stranger.index("picture"), [{"path": path, "meta": META}], session)["success"]


def test_no_event_is_called_around_the_queue() -> None:
    with strangers_page(examples=EXAMPLES) as stranger:
        (path,) = stranger.upload(("white.png", png()))
        for index, function in stranger.demo.fns.items():
            body = {"fn_index": index, "data": [{"path": path, "meta": META}] * len(function.inputs)}
            for route in ("run", "api"):
                for name in ("predict", str(function.api_name)):
                    for end in ("", "/"):
                        answer = stranger.http.post(f"{API}/{route}/{name}{end}", json=body | {"session_hash": "x"})
                        assert answer.status_code == 404
            called = stranger.http.post(f"{API}/call/{function.api_name}", json={"data": [None, "x"]})
            assert (called.status_code == 200) == (function.api_name == "segment")


def test_every_event_is_queued_so_that_none_needs_those_routes() -> None:
    with strangers_page(examples=EXAMPLES) as stranger:
        assert not stranger.demo.api_open
        assert [function.name for function in stranger.demo.fns.values() if function.fn and not function.queue] == []


def ask(stranger: Stranger) -> httpx.Response:
    """A question that takes a minute, which nobody reads."""
    (path,) = stranger.upload(("white.png", png()))
    return stranger.http.post(f"{API}/call/segment", json={"data": [{"path": path, "meta": META}, "hi"]})


def test_one_address_has_few_questions_at_a_time(slow: Stranger) -> None:
    assert [ask(slow).status_code for _ in range(6)] == [200] * 4 + [429] * 2
    refused = ask(slow)
    assert refused.json() == {"detail": BUSY}
    assert slow.join(slow.index("prompt", "submit"), ["hi", "none"], "chat").json() == {"detail": BUSY}
    assert slow.join(slow.index("race-go", "click"), [None, "hi", []], "race").json() == {"detail": BUSY}


def test_one_visitor_has_one_place_in_the_queue() -> None:
    limits = Limits(questions=None, events=None, streams=None, has_rates=False)
    with strangers_page(FakePredictor(SLOW, pause_s=0.03), limits=limits) as stranger:
        assert [ask(stranger).status_code for _ in range(8)] == [200] * 8  # being answered, or next
        eventually(lambda: not stranger.demo._queue.event_queue_per_concurrency_id["model"].queue)
        question = stranger.index("prompt", "submit")
        assert stranger.join(question, ["hi", "none"], "impatient").status_code == 200
        refused = stranger.join(question, ["hi", "none"], "impatient")
        assert (refused.status_code, refused.json()) == (429, {"detail": STILL_WAITING})
        assert stranger.join(question, ["hi", "none"], "another").status_code == 200
        assert stranger.join(stranger.index("change", "click"), [], "impatient").status_code == 200


def test_questions_do_not_take_the_places_of_light_events(slow: Stranger) -> None:
    assert [ask(slow).status_code for _ in range(4)] == [200] * 4
    assert slow.call(slow.index("change", "click"), [], "other")["success"]
    begin_visit(slow, "another")


def test_all_visitors_together_have_a_limit_that_leaves_light_events_alone() -> None:
    limits = Limits(questions=None, events=None, streams=None, has_rates=False, waiting=10)
    with strangers_page(FakePredictor(SLOW, pause_s=0.03), limits=limits) as stranger:
        assert [ask(stranger).status_code for _ in range(11)] == [200] * 10 + [429]
        assert stranger.call(stranger.index("change", "click"), [], "other")["success"]


def test_an_address_has_so_many_light_events_at_a_time(slow: Stranger) -> None:
    page = slow.demo
    (event,) = _queued(slow, 1)
    for number in range(39):
        page._queue.event_ids_to_events[f"more {number}"] = event
    refused = slow.join(slow.index("change", "click"), [], "other")
    assert (refused.status_code, refused.json()) == (429, {"detail": BUSY})
    page._queue.event_ids_to_events.clear()
    assert slow.call(slow.index("change", "click"), [], "other")["success"]


def test_one_address_has_few_pictures_at_a_time(slow: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only two are read at a time, so forty would keep everybody else from opening one."""
    may_go, picture = threading.Event(), slow.index("picture")

    def load(path: str) -> Image.Image:
        may_go.wait(30)
        return load_image(path)

    monkeypatch.setattr(DECODER, "load", load)
    (path,) = slow.upload(("white.png", png()))
    given = [{"path": path, "meta": META}]
    assert [slow.join(picture, given, f"tab {number}").status_code for number in range(5)] == [200] * 4 + [429]
    assert slow.join(picture, given, "one more").json() == {"detail": BUSY}
    assert refusal(slow.demo, picture, "10.0.0.1") is None
    assert slow.join(slow.index("change", "click"), [], "other").status_code == 200
    may_go.set()
    eventually(lambda: slow.join(picture, given, "later").status_code == 200)


def _queued(stranger: Stranger, n: int) -> list[Any]:
    """Light events that are held up, as if the server were slow."""
    request = SimpleNamespace(client=("127.0.0.1", 1))
    function = stranger.demo.fns[stranger.index("change", "click")]
    events = [SimpleNamespace(_id=f"e{k}", session_hash="x", fn=function, request=request) for k in range(n)]
    for event in events:
        event.enqueue_time = stranger.demo.presence.clock()
        stranger.demo._queue.event_ids_to_events[event._id] = event  # type: ignore[assignment]
    return events


def test_events_that_nobody_reads_are_dropped(slow: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "READER_GRACE_S", 1.0)
    monkeypatch.setattr("demo.security.housekeeping.READER_GRACE_S", 1.0)
    queue = slow.demo._queue
    assert [ask(slow).status_code for _ in range(4)] == [200] * 4
    assert len(queue.event_ids_to_events) == 4
    eventually(lambda: not queue.event_ids_to_events)
    eventually(lambda: not queue.pending_messages_per_session and not queue.pending_event_ids_session)
    assert slow.demo.server_app.iterators == {}
    assert ask(slow).status_code == 200


def assert_stopped_midway(stranger: Stranger, predictor: FakePredictor) -> None:
    """The queue is empty and the model free in seconds, and not all has been written."""
    eventually(lambda: not stranger.demo._queue.event_ids_to_events, within_s=20)
    assert predictor.lock.acquire(timeout=5)
    predictor.lock.release()
    assert 3 < predictor.written < len(SLOW)


def test_a_client_that_leaves_stops_its_answer() -> None:
    """The model would write for a minute; the lock is free in seconds, and not all has been written."""
    predictor = FakePredictor(SLOW, pause_s=0.03)
    with strangers_page(predictor) as stranger:
        event = ask(stranger).json()["event_id"]
        with stranger.reading(f"call/segment/{event}"):
            eventually(lambda: predictor.written > 3)
        assert_stopped_midway(stranger, predictor)


def test_a_tab_that_is_closed_stops_its_answer() -> None:
    predictor = FakePredictor(SLOW, pause_s=0.03)
    with strangers_page(predictor) as stranger:
        begin_visit(stranger, "tab")
        assert stranger.join(stranger.index("prompt", "submit"), ["hi", "none"], "tab").status_code == 200
        with stranger.reading("queue/data?session_hash=tab"):
            eventually(lambda: predictor.written > 3)
        assert_stopped_midway(stranger, predictor)


def test_a_client_that_leaves_while_it_waits_gets_no_answer() -> None:
    predictor = FakePredictor()
    with strangers_page(predictor) as stranger, predictor.lock:
        event = ask(stranger).json()["event_id"]
        with stranger.reading(f"call/segment/{event}"):
            pass
        eventually(lambda: not stranger.demo._queue.event_ids_to_events, within_s=20)
    assert predictor.written == 0


def test_endpoint_and_chat_have_the_same_limit_in_seconds() -> None:
    predictor = FakePredictor()
    with strangers_page(predictor, max_seconds=7.0) as stranger:
        (path,) = stranger.upload(("white.png", png()))
        assert stranger.segment({"path": path, "meta": META}).startswith("event: complete")
        begin_visit(stranger, "asks")
        assert stranger.call(stranger.index("prompt", "submit"), ["halves", "none"], "asks")["success"]
    assert predictor.limits == [7.0, 7.0]


# -- the parts -----------------------------------------------------------------------------------------------------


def test_rates_refill_evenly() -> None:
    now = [0.0]
    rates = Rates(lambda: now[0])
    assert [rates.take("a", "upload", 2) for _ in range(3)] == [True, True, False]
    assert rates.take("b", "upload", 2)
    now[0] = 30.0
    assert [rates.take("a", "upload", 2) for _ in range(2)] == [True, False]


def test_made_up_addresses_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in the same second. Whoever asked most recently is remembered."""
    monkeypatch.setattr(Rates, "MAX_KEPT", 10)
    rates = Rates(lambda: 0.0)
    for number in range(100):
        assert rates.take(str(number), "upload", 1)
    assert len(rates._left) == 10
    assert not rates.take("99", "upload", 1)
    assert not rates.take("90", "upload", 1)


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("10.0.0.1", 5), "10.0.0.1"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("::ffff:10.0.0.1", 5), "10.0.0.1"),
        (("testclient", 5), "testclient"),
        (None, ""),
    ],
)
def test_an_address_is_a_subscriber(client: Any, address: str) -> None:
    assert address_of(client) == address


def test_a_question_costs_more_than_an_event() -> None:
    def per_minute(method: str, path: str) -> int:
        route = find_route(method, path)
        assert route is not None
        assert route.per_minute is not None
        return route.per_minute

    assert per_minute("POST", f"{API}/upload") < per_minute("POST", f"{API}/queue/join")
    assert all(route.body_bytes > 0 for route in ROUTES if route.methods == "POST")


def test_presence() -> None:
    now = [100.0]
    found = presence.Presence(lambda: now[0])
    assert presence.TAB_GRACE_S > presence.STILL_OPEN_S  # whose connection is lost is seen again in time
    assert not found.is_gone("never there", 101.0 - presence.TAB_GRACE_S)
    assert found.is_gone("never there", 99.0 - presence.TAB_GRACE_S)
    with found.tab("tab"):
        now[0] += 10_000
        assert not found.is_gone("tab", 100.0)
    left = now[0]
    now[0] += presence.TAB_GRACE_S + 1
    assert found.is_gone("tab", left - 1)
    assert not found.is_gone("tab", now[0] - 5)  # a lost heartbeat: events still come
    with found.reader("tab"):
        assert not found.is_unread("tab", 0.0)
    assert not found.is_unread("tab", 0.0)
    now[0] += presence.LEFT_GRACE_S + 1
    assert found.is_unread("tab", 0.0)
    assert not found.is_unread("tab", now[0] - 1)  # asked for after the last connection
    now[0] += presence.READER_GRACE_S
    assert found.is_unread("tab", now[0] - presence.READER_GRACE_S - 1)
    assert found.is_unread("tab", 0.0)
    now[0] += 10_000
    found.forget()
    assert found._tab_left == {} == found._reader_left


@pytest.mark.parametrize("session", ["", "s" * 129, "s" * 200_000])
def test_a_session_has_a_short_name(slow: Stranger, session: str) -> None:
    """Names are kept for a while, so that those who have lost a picture can be told."""
    queue = slow.demo._queue
    bodies: list[dict[str, Any]] = [{"fn_index": slow.index("change", "click"), "data": []}, {"data": [None, "hi"]}]
    for body in bodies:
        route = "queue/join" if "fn_index" in body else "call/segment"
        refused = slow.http.post(f"{API}/{route}", json=body | {"session_hash": session})
        assert (refused.status_code, refused.json()) == (422, {"detail": NO_SESSION})
    with slow.reading(f"queue/data?session_hash={session[:10_000]}"):
        assert not slow.demo.presence._readers
    assert not slow.demo.presence._reader_left
    assert not queue.event_ids_to_events
    assert not queue.pending_messages_per_session


def test_a_function_that_is_not_there_is_not_found(slow: Stranger) -> None:
    for index in (99_999, -1):
        body: dict[str, Any] = {"fn_index": index, "data": [], "session_hash": "x"}
        assert slow.http.post(f"{API}/queue/join", json=body).status_code == 404


def test_streams_of_what_is_not_known_end_without_a_complaint(slow: Stranger, caplog: pytest.LogCaptureFixture) -> None:
    """Each would be 80 lines in the server's log."""
    assert '"session_not_found":true' in slow.http.get(f"{API}/queue/data?session_hash=nobody").text
    assert slow.http.get(f"{API}/call/segment/nothing").text.startswith("event: error")
    assert caplog.records == []


def test_requests_that_a_client_can_hold_open_are_counted() -> None:
    """An unfinished upload, or word of how far it has come, ties up the server like any stream."""
    with strangers_page(limits=Limits(streams=2)) as stranger:

        def slowly() -> Iterator[bytes]:
            yield b"--x\r\n"
            assert [stranger.http.get(f"{API}/upload_progress?upload_id=x").status_code] == [404]  # the second
            with stranger.reading("heartbeat/one"):
                refused = [
                    stranger.http.get(f"{API}/upload_progress?upload_id=x"),
                    stranger.http.post(f"{API}/upload", content=b""),
                    stranger.http.get(f"{API}/heartbeat/two"),
                ]
                assert [(one.status_code, one.json()) for one in refused] == [(429, {"detail": BUSY})] * 3
                assert stranger.http.get("/config").status_code == 200
            yield b"--x--\r\n"

        headers = {"content-type": "multipart/form-data; boundary=x"}
        stranger.http.post(f"{API}/upload", content=slowly(), headers=headers)
        assert stranger.http.post(f"{API}/upload", content=b"", headers=headers).status_code != 429

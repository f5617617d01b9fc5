"""Live runs and races wait their turn: a pause for each visitor, a time that is spent on answers, questions first."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from demo.background import POLL_S
from demo.board.library import Library
from demo.board.live import CAP_S, Deadline, MethodPool
from demo.board.live_run import Order, Progress, run_events
from demo.board.race import NOT_BEGUN, Began, Entry, Lane, race_events, replay, summary
from demo.board.race_panel import run_race
from demo.naming import by_visitor
from tests.benchmarks.scripted import ScriptedMethod
from tests.benchmarks.tiny import write_scenes
from tests.demo.racers import ScriptedPool, StreamingMethod, racers

PICTURE = Image.new("RGB", (64, 48), "white")


class Clock:
    """Stands where the test puts it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("demo.board.live.time.monotonic", clock)
    return clock


class SlowToLoad(ScriptedPool):
    """Loading a method takes 100 s of the clock, each word of an answer 1 s."""

    clock: Clock

    def get(self, label: str) -> Any:
        self.clock.now += 100
        return super().get(label)


class Writing(StreamingMethod):
    """Each piece takes a second of the clock."""

    def __init__(self, clock: Clock, pieces: int):
        super().__init__("stamp", ["word "] * pieces)
        self.clock = clock

    def stream(self, image: Any, prompt: str, should_stop: Any) -> Any:
        def one_second_later() -> bool:
            self.clock.now += 1
            return bool(should_stop())

        yield from super().stream(image, prompt, one_second_later)


def lanes_of(pool: ScriptedPool, *labels: str) -> list[Lane]:
    events = [one for batch in race_events(pool, Entry(PICTURE, "x", labels), threading.Event()) for one in batch]
    assert [event.label for event in events if isinstance(event, Began)]
    return [event for event in events if isinstance(event, Lane)]


def test_the_time_of_a_race_is_that_of_its_answers(clock: Clock) -> None:
    """Two methods that take 100 s to load and 50 s to answer: both end."""
    pool = SlowToLoad({"a": Writing(clock, 50), "b": Writing(clock, 50)})
    pool.clock = clock
    lanes = lanes_of(pool, "a", "b")
    assert [(lane.label, lane.is_stopped, lane.prediction is not None) for lane in lanes] == [
        ("a", False, True),
        ("b", False, True),
    ]


def test_a_race_says_what_it_cut(clock: Clock) -> None:
    pool = SlowToLoad({"a": Writing(clock, 100), "b": Writing(clock, 100), "c": Writing(clock, 1)})
    pool.clock = clock
    first, second, third = lanes_of(pool, "a", "b", "c")
    assert not first.is_stopped
    assert second.is_cut
    assert second.prediction is not None
    assert 0 < second.prediction.new_tokens < 100
    assert third == Lane("c", problem=NOT_BEGUN.format(CAP_S), is_cut=True)
    shown = replay(Entry(PICTURE, "x", ("a", "b", "c")), [first, second, third])
    assert [lane["note"].split(" · ")[0] for lane in shown["lanes"]] == [
        "1 mask", "cut off at the race's limit of 120 s", "did not start: the time limit of 120 s was reached",
    ]  # fmt: skip
    said = " Not ranked: b (cut off at the race's limit of 120 s); c (did not start)."
    assert summary([first, second, third]).endswith(said)


def test_the_time_of_a_live_run_begins_with_its_first_answer(clock: Clock, tmp_path: Path) -> None:
    data = write_scenes(tmp_path / "data", per_split=3)
    pool = SlowToLoad({"a": ScriptedMethod(name="a"), "b": ScriptedMethod(name="b")})
    pool.clock = clock
    order = Order("scenes", "all", "all", ("a", "b"), 3)
    progress = Progress(order)
    for batch in run_events(pool, Library({"scenes": data}), order, threading.Event()):
        for event in batch:
            progress.take(event)
    assert len(progress.records) == 6


def test_a_deadline_counts_nothing_before_its_start(clock: Clock) -> None:
    deadline = Deadline(threading.Event(), 10.0)
    clock.now += 1000
    assert not deadline.is_set()
    deadline.start()
    clock.now += 5
    with deadline.uncounted():
        clock.now += 100
    deadline.start()
    clock.now += 4
    assert not deadline.is_out_of_time
    clock.now += 2
    assert deadline.is_out_of_time


def test_a_visitor_pauses_between_runs_and_others_do_not(clock: Clock, tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "picture.png")
    pool = ScriptedPool(racers(), pause_s=20.0)

    def race(visitor: str) -> dict[str, Any]:
        *_, last = run_race(pool, str(tmp_path / "picture.png"), "segment", ["stamp"], visitor=visitor)
        return last

    assert race("first")["race"]["lanes"]
    clock.now += 5
    assert "Please wait 15 s" in unescape(race("first")["race_status"])
    assert race("second")["race"]["lanes"]
    clock.now += 16
    assert race("first")["race"]["lanes"]


def test_a_visitor_is_an_address_whatever_the_session() -> None:
    seen: list[str] = []

    def handler(prompt: str, visitor: str) -> Iterator[dict[str, Any]]:
        seen.append(f"{prompt} {visitor}")
        yield {}

    for session in ("one", "two"):
        request: Any = SimpleNamespace(client=("10.0.0.1", 5), session_hash=session)
        list(by_visitor({}, handler)(request, "hi"))
    assert seen == ["hi 10.0.0.1"] * 2


def test_a_run_that_only_waits_for_questions_ends_when_its_time_is_up() -> None:
    pool = ScriptedPool(racers())
    deadline = Deadline(threading.Event(), cap_s=0.0)
    deadline.start()
    with pool.slot.get().lock, ThreadPoolExecutor() as threads:
        assert threads.submit(_held, pool, deadline).result(timeout=20) is False


def _held(pool: MethodPool, deadline: Deadline) -> bool:
    with pool.machine(deadline.is_set) as held:
        return held


def test_questions_go_before_live_runs() -> None:
    """Both wait for the machine; the run was there first."""
    pool, order = ScriptedPool(racers()), []
    lock, stop = pool.slot.get().lock, threading.Event()

    def run() -> None:
        with pool.machine(stop.is_set) as held:
            order.append(("run", held))

    def question() -> None:
        assert pool.slot.acquire(stop.is_set)
        order.append(("question", True))
        assert not stop.wait(3 * POLL_S)
        pool.slot.get().lock.release()

    with lock:
        threads = [threading.Thread(target=run), threading.Thread(target=question)]
        for thread in threads:
            thread.start()
        while not pool.slot.has_questions:
            stop.wait(0.01)
        stop.wait(3 * POLL_S)  # the run has noticed
    for thread in threads:
        thread.join(20)
    assert order == [("question", True), ("run", True)]

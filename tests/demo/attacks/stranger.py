"""A stranger with an HTTP client: what the attacks share."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from demo.loading import ModelSlot
from demo.security.page import Page
from demo.ui import build_demo, launch_options
from tests.demo.fake import FakePredictor

API = "/gradio_api"


class Stranger:
    """Talks to a served page without a browser. demo: the page itself, to look at what it holds."""

    def __init__(self, demo: Page, url: str):
        self.demo = demo
        self.http = httpx.Client(base_url=url, timeout=30)

    def upload(self, *files: tuple[str, bytes]) -> list[str]:
        """Paths of the files on the server."""
        answer = self.http.post(f"{API}/upload", files=[("files", file) for file in files])
        answer.raise_for_status()
        return list(answer.json())

    def index(self, name: str, event: str = "input") -> int:
        """Number of the function that an event of a component, by its elem_id, calls."""
        for number, function in self.demo.fns.items():
            for block_id, target in function.targets:
                block = None if block_id is None else self.demo.blocks.get(block_id)
                if target == event and getattr(block, "elem_id", None) == name:
                    return number
        raise AssertionError(f"no function for {event} of {name}")

    def join(self, index: int, data: list[Any], session: str) -> httpx.Response:
        """Ask for an event; nobody reads what comes of it. data: may leave out the states at the end."""
        data = data + [None] * (len(self.demo.fns[index].inputs) - len(data))
        body = {"fn_index": index, "data": data, "session_hash": session}
        return self.http.post(f"{API}/queue/join", json=body)

    @contextmanager
    def reading(self, path: str) -> Iterator[httpx.Response]:
        """A connection that stays open, and is closed at the end."""
        with self.http.stream("GET", f"{API}/{path}") as answer:
            assert answer.status_code == 200
            yield answer

    def follow(self, session: str) -> list[dict[str, Any]]:
        """All messages of a session until its last event has ended."""
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": session}) as stream:
            return [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]

    def call(self, index: int, data: list[Any], session: str) -> dict[str, Any]:
        """The last message of an event: "success", and in "output" the data or the error."""
        joined = self.join(index, data, session)
        assert joined.status_code == 200, joined.text
        (last,) = (message for message in self.follow(session) if message["msg"] == "process_completed")
        return last

    def segment(self, picture: Any, prompt: Any = "segment the apple") -> str:
        """What `/segment` says, as text."""
        event = self.http.post(f"{API}/call/segment", json={"data": [picture, prompt]})
        assert event.status_code == 200, event.text
        return self.http.get(f"{API}/call/segment/{event.json()['event_id']}").text


@contextmanager
def strangers_page(predictor: Any = None, *, max_seconds: float | None = None, **options: Any) -> Iterator[Stranger]:
    """A served page with a stand-in for the model, seen by a stranger. options: of `build_demo`."""
    fake: Any = FakePredictor() if predictor is None else predictor
    slot = ModelSlot(lambda: fake, is_embedded=True, max_seconds=max_seconds).start()
    slot.wait(10)
    demo = build_demo(slot, **{"examples": Path("none"), **options})
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    stranger = Stranger(demo, url)
    try:
        yield stranger
    finally:
        stranger.http.close()
        demo.close(verbose=False)


def eventually(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait for what the server does in its own time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)

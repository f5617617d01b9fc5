"""Runs the page as visitors use it: the real app in a separate process on loopback, and HTTP clients."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
API = "/gradio_api"
#: A page that is not ready after so long does not become ready.
READY_S = 600.0
#: The longest that a visitor waits for the next message.
PATIENCE_S = 900.0
#: A notice of the page to its visitor.
_TOLD = re.compile(r"role=\\\"alert\\\">(.*?)</div>")
_MASK, _STATUS, _LETTER = re.compile(r"noun noun-\d"), re.compile("muted"), re.compile(r"[^\W\d_]")


class Server:
    """The app, started with options and ended with the `with` block. url: where it answers."""

    def __init__(self, options: Sequence[str] = ()):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "app.py", "--port", str(port), *options]

    def __enter__(self) -> "Server":
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**os.environ, "STAMP_LIVE": "off"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the app ended with status {self._process.returncode} before it was ready")
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=30).status_code == 200:
                    return
            time.sleep(0.5)
        raise RuntimeError(f"the app was not ready after {READY_S:.0f} s")

    def open_questions(self) -> int:
        """Questions that wait or are being answered."""
        return int(httpx.get(f"{self.url}/health", timeout=60).json()["questions"])

    def resident_bytes(self) -> int:
        """Memory in use now by the app and its decoders."""
        page, total = psutil.Process(self._process.pid), 0
        for process in (page, *page.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total


@contextmanager
def watching(server: Server, every_s: float = 0.2) -> Iterator[list[int]]:
    """Memory in use, read again and again while the block runs; at least once."""
    seen, stop = [server.resident_bytes()], threading.Event()

    def watch() -> None:
        while not stop.wait(every_s):
            with suppress(psutil.Error):
                seen.append(server.resident_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True)
class Asked:
    """One question on the page, in seconds from when it was sent. None: nothing of the kind came.

    problem: what went wrong, in the page's words; None when an answer came.
    """

    first_word_s: float | None
    first_mask_s: float | None
    total_s: float
    problem: str | None = None


class Visitor:
    """One browser tab without a browser. Use in a `with`; leaving it is leaving the page."""

    def __init__(self, server: Server):
        self.http = httpx.Client(base_url=server.url, timeout=httpx.Timeout(60, read=PATIENCE_S))
        self.session = uuid4().hex
        self._config: dict[str, Any] = self.http.get("/config").json()

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def upload(self, picture: bytes) -> dict[str, Any]:
        """What an event calls the uploaded picture."""
        answer = self.http.post(f"{API}/upload", files={"files": ("picture.png", picture)})
        answer.raise_for_status()
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}

    def show(self, picture: bytes) -> None:
        """Begin a visit with a picture. Raises RuntimeError when it is refused."""
        joined = self.join("picture", "input", [self.upload(picture)])
        joined.raise_for_status()
        if not any(message.get("success") for message in self.messages()):
            raise RuntimeError("the page did not take the picture")

    def ask(self, prompt: str) -> Asked:
        """Ask on the page, and read until the answer has ended."""
        sent = time.monotonic()
        joined = self.join("prompt", "submit", [prompt])
        if joined.status_code != 200:
            return Asked(None, None, time.monotonic() - sent, str(joined.json().get("detail", joined.text)))
        word, mask = None, None
        problem: str | None = "the connection ended before the answer"
        for message in self.messages():
            after = time.monotonic() - sent
            if notice := _TOLD.search(json.dumps(message.get("output", {}).get("data", ""), ensure_ascii=False)):
                problem = unescape(notice[1])
            elif message["msg"] == "process_generating":
                shown = self._chat_of(message)
                has_mask = bool(_MASK.search(shown))
                if word is None and (has_mask or (_LETTER.search(shown) and not _STATUS.search(shown))):
                    word = after
                mask = after if mask is None and has_mask else mask
            elif message["msg"] == "process_completed" and message["success"] and word is not None:
                problem = None
        return Asked(word, mask, time.monotonic() - sent, problem)

    def join(self, name: str, event: str, data: list[Any]) -> httpx.Response:
        """Ask for an event of a component, by its elem_id; what is left out of the data is null."""
        number, dependency = self._event(name, event)
        data = data + [None] * (len(dependency["inputs"]) - len(data))
        body = {"fn_index": number, "data": data, "session_hash": self.session}
        return self.http.post(f"{API}/queue/join", json=body)

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the page sends to this visitor until its events have ended."""
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    def call(self, picture: dict[str, Any], prompt: str) -> httpx.Response:
        """Ask `/segment`; nobody reads the answer before `read`."""
        return self.http.post(f"{API}/call/segment", json={"data": [picture, prompt, "auto", []]})

    def read(self, called: httpx.Response) -> bool:
        """Wait for the answer to a `call`; whether there was one."""
        return "event: complete" in self.http.get(f"{API}/call/segment/{called.json()['event_id']}").text

    def _event(self, name: str, event: str) -> tuple[int, dict[str, Any]]:
        ids = {one["id"] for one in self._config["components"] if one["props"].get("elem_id") == name}
        for dependency in self._config["dependencies"]:
            if any(target[0] in ids and target[1] == event for target in dependency["targets"]):
                return int(dependency["id"]), dependency
        raise RuntimeError(f"the page has no event {event} of {name}")

    def _chat_of(self, message: dict[str, Any]) -> str:
        """What a message changes in the chat, as JSON; the question itself is left out."""
        _, dependency = self._event("prompt", "submit")
        (chat,) = (one["id"] for one in self._config["components"] if one["props"].get("elem_id") == "chat")
        changed = message["output"]["data"][dependency["outputs"].index(chat)]
        if isinstance(changed, dict):  # nothing
            return ""
        if isinstance(changed, list) and changed and isinstance(changed[0], dict):  # the whole chat, at the beginning
            changed = changed[-1]["content"] if changed[-1]["role"] == "assistant" else ""
        return json.dumps(changed, ensure_ascii=False)

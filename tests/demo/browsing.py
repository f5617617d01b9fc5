"""A served page in headless Chromium; at its end no request may have gone anywhere else."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.board.sources import Sources
from demo.loading import ModelSlot
from demo.ui import build_demo, launch_options

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]

MAY_SKIP = CHROMIUM is None and "REQUIRE_BROWSER" not in os.environ  # .ci/run sets it: there a skip is a failure
needs_browser = [pytest.mark.browser, pytest.mark.skipif(MAY_SKIP, reason="needs Chromium")]


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served(
    load: Callable[[], Any],
    *,
    is_embedded: bool = False,
    examples: Path = Path("none"),
    sources: Sources | None = None,
) -> Iterator[str]:
    """The address of a served demo."""
    demo = build_demo(ModelSlot(load, is_embedded=is_embedded).start(), examples=examples, sources=sources)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield url
    demo.close(verbose=False)


@contextmanager
def opened(browser: Any, url: str, query: str = "", **view: Any) -> Iterator[Any]:
    """A page of the demo at `url`."""
    page = browser.new_page(**view)
    page.set_default_timeout(60_000)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    refused: list[str] = []  # by our own policy
    page.on("console", lambda message: refused.append(message.text) if "Security Policy" in message.text else None)
    page.goto(url + query, wait_until="domcontentloaded")
    yield page
    page.close()
    assert requests
    assert refused == []
    assert [address for address in requests if not address.startswith((url, "data:", "blob:"))] == []


def eventually(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait for something that the page does in its own time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)

"""What a visitor with a browser sees of all this: a place in the queue, a kind sentence, and nothing that breaks."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from demo.chat.asking import OTHER_PICTURE
from demo.chat.gallery import EXAMPLES, read_examples
from demo.security import presence
from demo.security.admission import STILL_WAITING
from demo.security.limits import BUSY, Limits
from demo.ui import MAX_WAITING
from tests.demo.attacks.stranger import Stranger, eventually, strangers_page
from tests.demo.attacks.test_queue import ask
from tests.demo.browsing import chromium, needs_browser, opened
from tests.demo.fake import FakePredictor

pytestmark = needs_browser
NO_LIMITS = Limits(questions=None, events=None, streams=None, has_rates=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (60, 40), "white").save(tmp_path / "white.png")
    return tmp_path / "white.png"


def url(stranger: Stranger) -> str:
    return str(stranger.http.base_url)


def begin(page: Any, picture: Path) -> None:
    page.wait_for_selector("#picture input[type=file]", state="attached")
    page.set_input_files("#picture input[type=file]", picture)
    page.wait_for_selector("#stage img")


def send(page: Any, prompt: str) -> None:
    page.fill("#prompt textarea", prompt)
    page.keyboard.press("Enter")


def test_who_waits_sees_place_and_time(browser: Any, picture: Path) -> None:
    predictor = FakePredictor(["Sure."])
    with strangers_page(predictor, limits=NO_LIMITS) as stranger, opened(browser, url(stranger)) as page:
        begin(page, picture)
        send(page, "one")  # how long an answer takes is known from earlier ones
        page.wait_for_selector("#chat .readout")
        read(stranger, ask(stranger).json()["event_id"])
        with predictor.lock:
            readers = [ask_and_read(stranger) for _ in range(MAX_WAITING + 1)]
            send(page, "two")
            eventually(lambda: re.search(r"queue: 2/2 \| [\d.]+/[\d.]+s", page.inner_text("#chat")) is not None)
        page.wait_for_function("document.querySelectorAll('#chat .readout').length == 2")
        for reader in readers:
            reader.join()


def test_a_second_example_is_not_forgotten_while_the_question_of_the_first_one_waits(browser: Any) -> None:
    """The visitor reads that it cannot be asked yet, and it stays in the box when the turn of the first one comes."""
    (_, first), (_, second), *_ = read_examples(EXAMPLES)
    predictor = FakePredictor(["Sure."])
    with (
        strangers_page(predictor, limits=NO_LIMITS, examples=EXAMPLES) as stranger,
        opened(browser, url(stranger)) as page,
    ):
        with predictor.lock:
            readers = [ask_and_read(stranger) for _ in range(MAX_WAITING + 1)]
            page.click("#examples [data-example='0']")
            eventually(lambda: "queue: " in page.inner_text("#chat"))
            page.click("#examples [data-example='1']")
            page.wait_for_selector(f".toast-body >> text={STILL_WAITING}")
        page.wait_for_selector(f"#chat-notice >> text={OTHER_PICTURE.format(first)}")
        assert page.input_value("#prompt textarea") == second
        for reader in readers:
            reader.join()


def ask_and_read(stranger: Stranger) -> threading.Thread:
    """A question whose answer is read at once: one that nobody reads is dropped after a while."""
    reader = threading.Thread(target=read, args=(stranger, ask(stranger).json()["event_id"]), daemon=True)
    reader.start()
    return reader


def read(stranger: Stranger, event: str) -> None:
    with stranger.reading(f"call/segment/{event}") as answer:
        answer.read()


def test_who_is_refused_reads_a_kind_sentence_and_loses_nothing(browser: Any, picture: Path) -> None:
    predictor = FakePredictor(["word "] * 2000, pause_s=0.03)
    with strangers_page(predictor) as stranger, opened(browser, url(stranger)) as page:
        begin(page, picture)
        assert [ask(stranger).status_code for _ in range(4)] == [200] * 4
        send(page, "segment the apple")
        page.wait_for_selector(f".toast-body >> text={BUSY}")
        assert page.input_value("#prompt textarea") == "segment the apple"


def test_a_closed_tab_leaves_nothing(browser: Any, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "TAB_GRACE_S", 0.5)
    with strangers_page() as stranger:
        with opened(browser, url(stranger)) as page:
            begin(page, picture)
            send(page, "halves")
            page.wait_for_selector("#chat .readout")
            page.wait_for_timeout(3000)  # longer than the grace: an open tab stays
            assert len(stranger.demo.visits._visits) == 1
            send(page, "again")
            page.wait_for_function("document.querySelectorAll('#chat .readout').length == 2")
        eventually(lambda: not stranger.demo.visits._visits)
        eventually(lambda: not stranger.demo.server_app.state_holder.session_data)


def test_who_has_lost_the_picture_is_told(browser: Any, picture: Path) -> None:
    with strangers_page() as stranger, opened(browser, url(stranger)) as page:
        begin(page, picture)
        stranger.demo.visits.drop_unused(lambda *_: True)
        send(page, "segment the apple")
        page.wait_for_selector("#chat-notice >> text=Please choose it again")
        lost = page.input_value("#number input")
        begin(page, picture)  # the lost picture is still shown, so wait until the page knows of the new one
        page.wait_for_function("lost => document.querySelector('#number input').value !== lost", arg=lost)
        send(page, "segment the apple")
        page.wait_for_selector("#chat .readout")

"""The operator's view: a line for each question without anything of the visitor's, and /health."""

import json
import logging
import threading
import tomllib
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from demo import handlers, request_log
from demo.chat.chat import Question, answer_events
from demo.loading import ModelSlot
from demo.ui import build_demo
from stamp import PromptError, __version__
from tests.demo.attacks.stranger import Stranger, strangers_page
from tests.demo.attacks.test_files import META, png
from tests.demo.fake import ANSWER, TIMINGS_S, FakePredictor, slot_of
from tests.demo.test_decoding import scene

SECRET = "segment the hidden thing"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(request_log.log, "propagate", True)
    caplog.set_level(logging.INFO, request_log.log.name)

    def read() -> list[dict[str, Any]]:
        said = [record.getMessage() for record in caplog.records if record.name == request_log.log.name]
        assert not any("hidden" in line or "Sure" in line for line in said)
        return [json.loads(line) for line in said]

    return read


def ask(slot: ModelSlot, stop: threading.Event | None = None, prompt: str = SECRET) -> None:
    for _ in answer_events(slot, Question(prompt, scene()), stop or threading.Event()):
        pass


def test_a_line_says_how_the_answer_went_and_nothing_of_its_content(lines: Any) -> None:
    ask(slot_of(FakePredictor()))
    (line,) = lines()
    assert (line["source"], line["status"], line["masks"], line["tokens"]) == ("page", "end", 2, len(ANSWER))
    assert line["phases_s"] == TIMINGS_S
    assert set(line) == {
        *("at", "request", "source", "model", "status", "waited_s", "seconds"),
        *("phases_s", "tokens", "passes", "masks"),
    }


def test_each_end_has_its_status(lines: Any) -> None:
    stop = threading.Event()
    stop.set()
    broken = ModelSlot(lambda: 1 / 0).start()  # type: ignore[arg-type, return-value]
    assert broken.wait(5)
    ask(slot_of(FakePredictor()), stop)
    ask(slot_of(FakePredictor()), prompt=" ")
    ask(slot_of(FakePredictor(error=PromptError(SECRET))))
    ask(slot_of(FakePredictor(error=RuntimeError(SECRET))))
    ask(broken)
    assert [line["status"] for line in lines()] == ["stopped", "refused", "refused", "failed", "unavailable"]
    assert len({line["request"] for line in lines()}) == 5


def upload(stranger: Stranger) -> dict[str, Any]:
    (path,) = stranger.upload(("hidden.png", png()))
    return {"path": path, "meta": META}


def test_the_endpoint_writes_the_same_line(lines: Any) -> None:
    with strangers_page() as stranger:
        stranger.segment(upload(stranger), SECRET)
        stranger.segment(None, SECRET)
    first, second = lines()
    assert (first["source"], first["status"], first["masks"]) == ("segment", "end", 2)
    assert (second["source"], second["status"]) == ("segment", "refused")


def fake_predictor() -> Any:
    return FakePredictor()


def test_health_says_what_the_model_is_at() -> None:
    with strangers_page() as stranger:
        answer = stranger.http.get("/health")
        said = {"status": "ready", "model": "stamp-nano", "version": __version__, "questions": 0}
        assert (answer.status_code, answer.json()) == (200, said)
        assert stranger.http.head("/health").status_code == 200
        stranger.demo.slot = ModelSlot(fake_predictor, "other")
        answer = stranger.http.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "loading")
        failed = ModelSlot(lambda: 1 / 0).start()  # type: ignore[arg-type, return-value]
        assert failed.wait(5)
        stranger.demo.slot = failed
        answer = stranger.http.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "failed")


def test_the_footer_has_version_and_model() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    slot = ModelSlot(fake_predictor, "some/model")
    blocks = build_demo(slot).blocks.values()
    (found,) = (block for block in blocks if getattr(block, "elem_id", "") == "versions")
    assert isinstance(found, gr.HTML)
    assert found.value == handlers.footer(slot)
    assert __version__ in str(found.value)
    assert "some" in str(found.value)

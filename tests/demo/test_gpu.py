"""Where a Space lends its GPU: what crosses over to the other process and back."""

import contextvars
import threading
from collections.abc import Callable, Iterator

import gradio as gr
import pytest

from demo import gpu
from demo.background import batches
from demo.chat.chat import WORKER_ERROR, status_and_sentence
from demo.ui import build_demo
from stamp import PromptError, Turn
from stamp.errors import MemoryShortError
from stamp.pictures.images import ImageError
from tests.demo.fake import FakePredictor, slot_of, visit_of

VISITOR = contextvars.ContextVar[str]("visitor")


@pytest.mark.parametrize("error", [ImageError("too dark"), PromptError("too long"), MemoryShortError("too large")])
def test_what_the_visitor_is_told_crosses_as_a_value(error: Exception) -> None:
    """Of an exception, `spaces` passes on only the name of its class."""
    predictor, visit = FakePredictor(answer=["a"], error=error), visit_of()
    turns = [Turn("user", "what?", predictor.encode_image(visit.picture))]
    number = gpu._name(predictor, lambda: False)  # type: ignore[arg-type]
    *_, last = gpu._stream(number, turns, 9, "auto", None)
    assert last is error
    assert gpu._segment(number, visit.picture, "what?", "auto", (), None) is error
    with pytest.raises(type(error), match=str(error)):
        list(gpu.stream_answer(predictor, turns, 9, "auto", lambda: False, None))  # type: ignore[arg-type]
    with pytest.raises(type(error), match=str(error)):
        gpu.segment(predictor, visit.picture, "what?", lambda: False, None)  # type: ignore[arg-type]


def test_a_gpu_that_is_not_lent_says_why() -> None:
    told = gr.Error("You have exceeded your GPU quota. Try again in 2 hours.")
    assert status_and_sentence(gr.Error("RuntimeError", title=WORKER_ERROR)) == ("failed", "")
    assert status_and_sentence(told) == ("unavailable", "You have exceeded your GPU quota. Try again in 2 hours.")


def test_work_in_a_thread_knows_whose_request_it_is() -> None:
    def work(put: Callable[[str], None]) -> None:
        put(VISITOR.get())

    def asked() -> Iterator[list[str]]:
        VISITOR.set("alice")
        yield from batches(work, threading.Event(), "work")

    assert [one for batch in contextvars.copy_context().run(lambda: list(asked())) for one in batch] == ["alice"]


def test_more_than_one_event_may_wait_where_the_gpu_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    demo = build_demo(slot_of(FakePredictor()))
    assert demo._queue.max_size is not None
    assert demo._queue.max_size > demo.limits.waiting

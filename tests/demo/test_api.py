"""What `/segment` does around the model: one answer at a time, and the lock is free afterwards, come what may."""

import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from demo import api
from demo.api import answer, segment_endpoint
from demo.chat.chat import WENT_WRONG
from demo.decoding import DECODER
from demo.loading import LOAD_FAILED, ModelSlot, ModelUnavailableError
from stamp import ImageError, PromptError, Segmentation
from stamp.errors import MemoryShortError
from tests.demo.fake import FakePredictor, half, slot_of


class Witness(FakePredictor):
    """Notes whether another visitor's thread could have had the model while this one's answer was made."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.was_free: list[bool] = []

    def segment(self, image: Image.Image, prompt: str, **options: Any) -> Segmentation:
        self.was_free.append(is_free(self))
        return super().segment(image, prompt, **options)


def is_free(predictor: FakePredictor) -> bool:
    """Whether another thread gets the lock."""
    got: list[bool] = []

    def attempt() -> None:
        if predictor.lock.acquire(blocking=False):
            predictor.lock.release()
            got.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return bool(got)


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "picture.png"
    Image.new("RGB", (40, 30), "white").save(path)
    return str(path)


def never() -> bool:
    return False


def test_the_model_is_held_for_the_whole_answer_and_given_back(picture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the overlay is drawn; while a picture is opened, which may take long, others have the model.

    Pictures are large, so that of the next call is opened after that.
    """
    predictor = Witness()
    places: list[tuple[Any, str]] = [(DECODER, "load"), (api, "draw_overlay")]
    for owner, name in places:
        whole = getattr(owner, name)

        def watched(*given: Any, whole: Any = whole) -> Any:
            predictor.was_free.append(is_free(predictor))
            assert not api.ONE_CALL.acquire(blocking=False)
            return whole(*given)

        monkeypatch.setattr(owner, name, watched)
    slot = slot_of(predictor)
    slot.max_seconds = 12.5
    overlay, record = answer(slot, picture, "halves", never)
    assert predictor.was_free == [True, False, False]
    assert api.ONE_CALL.acquire(blocking=False)
    api.ONE_CALL.release()
    assert is_free(predictor)
    assert overlay.size == (40, 30)
    assert [mask["area_px"] for mask in record["masks"]] == [int(half((30, 40), n).sum()) for n in (0, 1)]
    assert predictor.limits == [12.5]


def test_the_model_is_given_back_after_a_failure(picture: str, tmp_path: Path) -> None:
    predictor = Witness(error=RuntimeError("secret"))
    with pytest.raises(RuntimeError, match="secret"):
        answer(slot_of(predictor), picture, "halves", never)
    assert predictor.was_free == [False]
    assert is_free(predictor)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ImageError):
        answer(slot_of(predictor), str(tmp_path / "text.png"), "halves", never)
    assert is_free(predictor)


def test_who_waits_in_vain_gets_no_answer_and_holds_no_lock(picture: str) -> None:
    predictor = Witness()
    slot = slot_of(predictor)
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with predictor.lock:
            taken.set()
            done.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    assert taken.wait(10)
    with pytest.raises(ModelUnavailableError, match="nobody is waiting"):
        answer(slot, picture, "halves", lambda: True)
    assert not slot.has_questions
    done.set()
    other.join()
    assert (predictor.was_free, is_free(predictor)) == ([], True)


def test_what_is_wrong_is_said_before_anything_is_waited_for(picture: str) -> None:
    slot = slot_of(FakePredictor())
    for path, prompt, error in ((None, "halves", ImageError), (picture, " ", PromptError)):
        with pytest.raises(error):
            answer(slot, path, prompt, lambda: pytest.fail("it waited"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("secret"), WENT_WRONG),
        (PromptError("Shorten it."), "Shorten it."),
        (ImageError("Too large."), "Too large."),
    ],
)
def test_a_client_is_told_its_own_mistakes_only(picture: str, error: Exception, words: str) -> None:
    endpoint = segment_endpoint(slot_of(FakePredictor(error=error)), SimpleNamespace(is_awaited=lambda _: True))  # type: ignore[arg-type]
    with pytest.raises(gr.Error) as raised:
        endpoint(picture, "halves", None, None, SimpleNamespace(session_hash="s"))
    assert raised.value.message == words


def test_a_client_that_went_away_stops_its_answer(picture: str) -> None:
    """The page knows a client by its session."""
    asked: list[str] = []

    def is_awaited(session: str) -> bool:
        asked.append(session)
        return len(asked) < 3

    predictor = FakePredictor()
    endpoint = segment_endpoint(slot_of(predictor), SimpleNamespace(is_awaited=is_awaited))  # type: ignore[arg-type]
    _, record = endpoint(picture, "halves", None, None, SimpleNamespace(session_hash="mine"))
    assert record["finish_reason"] == "stopped"
    assert (set(asked), predictor.written) == ({"mine"}, 2)


def test_a_model_that_did_not_load_is_a_sentence(picture: str) -> None:
    slot = ModelSlot(lambda: 1 / 0).start()  # type: ignore[arg-type, return-value]
    assert slot.wait(5)
    endpoint = segment_endpoint(slot, SimpleNamespace(is_awaited=lambda _: True))  # type: ignore[arg-type]
    with pytest.raises(gr.Error) as raised:
        endpoint(picture, "halves", None, None, SimpleNamespace(session_hash="s"))
    assert raised.value.message == LOAD_FAILED


def test_refinement_and_conversation_reach_the_model(picture: str) -> None:
    predictor = FakePredictor()
    endpoint = segment_endpoint(slot_of(predictor), SimpleNamespace(is_awaited=lambda _: True))  # type: ignore[arg-type]
    request: Any = SimpleNamespace(session_hash="s")
    _, first = endpoint(picture, "halves", "none", [], request)
    assert first["conversation"] == [
        {"role": "user", "content": "halves"},
        {"role": "assistant", "content": "Sure, here is the left half: <|seg|> and the right half: <|seg|>."},
    ]
    _, second = endpoint(picture, "again", None, first["conversation"], request)
    assert second["conversation"] == [
        *first["conversation"],
        {"role": "user", "content": "again"},
        first["conversation"][1],
    ]
    assert predictor.refinements == ["none", "auto"]
    assert predictor.histories == [(), (("halves", first["response"]),)]


@pytest.mark.parametrize(
    ("refine", "conversation", "words"),
    [
        ("sam", None, r"^refine must be one of auto, none, guided, grabcut, got 'sam'\.$"),
        ("x" * 200, None, "got 'xxx"),
        ("auto", [{"role": "user", "content": " "}, {"role": "assistant", "content": ""}], "Type a request first"),
        ("auto", "hi", "got str"),
    ],
)
def test_what_is_wrong_with_either_is_said(picture: str, refine: str, conversation: Any, words: str) -> None:
    endpoint = segment_endpoint(slot_of(FakePredictor()), SimpleNamespace(is_awaited=lambda _: True))  # type: ignore[arg-type]
    with pytest.raises(gr.Error) as raised:
        endpoint(picture, "halves", refine, conversation, SimpleNamespace(session_hash="s"))
    assert re.search(words, str(raised.value.message))
    assert len(str(raised.value.message)) < 400


def test_memory_that_does_not_suffice_is_a_sentence(picture: str) -> None:
    endpoint = segment_endpoint(
        slot_of(FakePredictor(error=MemoryShortError("Too little memory."))),
        SimpleNamespace(is_awaited=lambda _: True),  # type: ignore[arg-type]
    )
    with pytest.raises(gr.Error) as raised:
        endpoint(picture, "halves", None, None, SimpleNamespace(session_hash="s"))
    assert raised.value.message == "Too little memory."

"""Questions and their answers, from the box to the page."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo import gpu, handlers
from demo.chat import answering, asking
from demo.chat.chat import WENT_WRONG
from demo.chat.visits import VisitStore
from demo.html import literal, notice
from demo.loading import LOAD_FAILED, ModelSlot
from stamp.pictures.masks import decode_rle
from stamp.pictures.visualization import mask_colour
from tests.demo.fake import ANSWER, FakePredictor, ask, half, slot_of, visit_of
from tests.disks import full_after


def test_a_slow_model_may_look_at_a_quarter_of_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each question anew: the picture is encoded again when the choice changes, and the dialogue goes on."""
    predictor, visit = FakePredictor(), visit_of()
    slot = slot_of(predictor)
    assert slot.wait(9)
    assert handlers.watch_loading(slot)["fast"].visible is False
    list(asking.ask(slot, "segment", visit=visit, fast=True))
    assert predictor.shares == [1.0]  # a small model has no need of it
    monkeypatch.setattr("stamp.checkpoints.quantization.AUTO_PARAMETERS", 1_000_000)
    assert handlers.watch_loading(slot)["fast"].visible is True
    for fast in (True, True, False):
        list(asking.ask(slot, "segment", visit=visit, fast=fast))
    assert predictor.shares == [1.0, 0.25, 1.0]
    restarted = visit.restarted()
    list(asking.ask(slot, "segment", visit=restarted))
    list(asking.ask_again(slot, visit=restarted, fast=True))
    assert predictor.shares == [1.0, 0.25, 1.0, 0.25]
    pictures = [[turn.image for turn in turns] for turns in predictor.conversations[:4]]
    assert [len(images) for images in pictures] == [1, 3, 5, 7]
    assert all(image is None for images in pictures for image in images[1:])
    first, second, third, fourth = (images[0] for images in pictures)
    assert second is third
    assert len({id(image) for image in (first, second, fourth)}) == 3


def test_a_second_question_during_an_answer_stays_in_the_box() -> None:
    visit = visit_of()
    visit.begin_answer()
    page = ask(slot_of(FakePredictor()), "and the pear", visit)
    assert set(page) == {"chat_notice"}
    assert literal(asking.STILL_WRITING) in page["chat_notice"]


def test_no_picture_and_no_words_are_refused_and_the_text_stays() -> None:
    slot = slot_of(FakePredictor())
    page = ask(slot, "segment the apple", None)
    assert literal(asking.NO_PICTURE) in page["chat_notice"]
    assert set(page) == {"chat_notice", "input_panel"}
    page = ask(slot, "  ", visit_of())
    assert literal("Type a request first.") in page["chat_notice"]
    assert "chat" not in page


def test_a_question_that_is_refused_later_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "refusal", lambda *_: None)  # as while the model is loading
    visit = visit_of()
    page = ask(slot_of(FakePredictor()), " ", visit)
    assert page["chat"] == []
    assert page["prompt"]["value"] == " "
    assert literal("Type a request first.") in page["chat_notice"]


def test_an_answer_fills_the_page_and_the_visit() -> None:
    visit = visit_of()
    slot = slot_of(FakePredictor())
    page = ask(slot, "<b>halves</b>", visit)
    question, answer = page["chat"]
    assert question == {"role": "user", "content": literal("<b>halves</b>")}
    assert answer["content"].startswith("Sure&#44; here is the <span")
    assert mask_colour(0) in answer["content"]
    assert mask_colour(1) in answer["content"]
    assert "first token" in answer["content"]
    assert [shown.label for shown in visit.masks] == ["left half", "right half"]
    assert page["masks"].count("50 &#37; of the picture") == 2
    assert page["masks"].index("left half") < page["masks"].index("right half")
    assert visit.visible == [0, 1]
    assert page["prompt"] == {"submit_btn": "Send", "stop_btn": False, "__type__": "update"}
    assert [turn.role for turn in visit.turns] == ["user", "assistant"]
    assert visit.turns[1].token_ids == (0, 1, 2, 3, 4, 5)


def test_a_second_answer_goes_on_counting_and_shows_its_own_masks() -> None:
    visit = visit_of()
    slot = slot_of(FakePredictor())
    ask(slot, "one", visit)
    page = ask(slot, "two", visit)
    assert "noun-2" in page["chat"][3]["content"]
    assert [shown.label for shown in visit.masks[2:]] == ["left half 2", "right half 2"]
    assert visit.visible == [2, 3]
    files = ["left_half{}.png", "left_half{}_cutout.png", "right_half{}.png", "right_half{}_cutout.png"]
    for paths, answer, number in ((visit.downloads, 2, "_2"), (visit.earlier, 1, "")):
        endings = (".svg", ".json", "_coco.json")
        names = [*(file.format(number) for file in files), *(f"answer_{answer}{ending}" for ending in endings)]
        assert [Path(path).name for path in paths] == [f"answer_{answer}.zip", *names]
        with zipfile.ZipFile(paths[0]) as archive:
            assert archive.namelist() == names
    record = json.loads(Path(visit.downloads[6]).read_text())
    assert [mask["label"] for mask in record["masks"]] == ["left half 2", "right half 2"]
    assert (decode_rle(record["masks"][0]["rle"]) == half((30, 40), 0)).all()
    with Image.open(visit.downloads[1]) as png:
        assert (np.asarray(png) == half((30, 40), 0) * 255).all()


def test_an_answer_without_masks_hides_those_before() -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)
    page = ask(slot_of(FakePredictor(["It is red."])), "colour", visit)
    assert visit.visible == []
    assert page["stage"].getpixel((5, 15)) == (255, 255, 255)
    assert Path(visit.downloads[0]).name == "answer_1.zip"


def test_a_failure_is_told_in_the_chat_and_the_question_comes_back() -> None:
    visit = visit_of()
    *_, page = asking.ask(slot_of(FakePredictor(error=RuntimeError("secret"))), "segment", visit=visit)
    assert page["chat_notice"] == ""  # what it said during the answer is over
    assert literal(f"{WENT_WRONG} {answering.QUESTION_BACK}") in page["chat"][-1]["content"]
    assert "secret" not in str(page)
    assert page["prompt"]["value"] == "segment"
    assert visit.turns == []


def test_a_model_that_did_not_load_refuses_with_a_sentence() -> None:
    slot = ModelSlot(lambda: 1 / 0).start()  # type: ignore[arg-type, return-value]
    assert slot.wait(5)
    page = ask(slot, "segment", visit_of())
    assert literal(LOAD_FAILED) in page["chat_notice"]
    assert literal(LOAD_FAILED) in handlers.watch_loading(slot)["model_line"]
    assert handlers.watch_loading(slot)["timer"].active is False


@pytest.mark.parametrize("answers", [1, 2])
def test_the_last_question_can_be_asked_again_or_changed(answers: int) -> None:
    visit, slot = visit_of(), slot_of(FakePredictor())
    for number in range(answers):
        ask(slot, f"halves {number}", visit)
    before = (len(visit.messages), list(visit.turns), [shown.label for shown in visit.masks], list(visit.visible))
    assert list(asking.ask_again(slot, visit=visit))
    assert (len(visit.messages), visit.turns, [shown.label for shown in visit.masks], visit.visible) == before
    old, first = [Path(path) for path in visit.downloads], list(visit.earlier)
    page = asking.edit_question(visit)
    assert page["prompt"]["value"] == f"halves {answers - 1}"
    assert len(page["chat"]) == len(visit.turns) == len(visit.masks) == 2 * answers - 2
    assert visit.visible == list(range(2 * answers - 2))
    assert not any(path.exists() for path in old)
    assert (visit.downloads, visit.earlier) == (first, [])  # of the answer that is the last one now
    assert all(Path(path).exists() for path in first)
    asking.edit_question(visit)
    assert not any(Path(path).exists() for path in first)


@pytest.mark.parametrize("how", ["failure", "stop"])
def test_an_answer_stays_until_there_is_another_one(how: str) -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)
    before = (list(visit.messages), list(visit.turns), list(visit.masks), list(visit.visible), list(visit.downloads))
    predictor = FakePredictor(error=RuntimeError("boom")) if how == "failure" else FakePredictor(["a"], pause_s=0.3)
    page: dict[str, Any] = {}
    for number, updates in enumerate(asking.ask_again(slot_of(predictor), visit=visit)):
        page |= updates
        assert "value" not in updates.get("prompt", {})  # what was typed stays
        if number == 0:
            assert len(updates["chat"]) == 2
            assert updates["mask_panel"].visible is False  # the page does not show what cannot be clicked
            if how == "stop":
                visit.stop.set()
    assert before == (visit.messages, visit.turns, visit.masks, visit.visible, visit.downloads)
    assert page["chat"] == visit.messages
    assert page["mask_panel"].visible
    assert len(page["downloads"].value) == len(visit.downloads) > 0
    words = WENT_WRONG if how == "failure" else answering.NO_ANSWER
    assert page["chat_notice"] == notice(f"{words} {answering.ANSWER_BACK}")


def test_nothing_of_an_answer_is_shown_after_the_visit_was_left_while_its_files_were_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visit, visits = visit_of(), VisitStore(10**9)

    def slow(*_: Any) -> list[str]:
        visit.is_left = True  # New chat, in another thread
        visits.put("a", visit_of())
        return []

    monkeypatch.setattr(visit, "write_files", slow)
    assert "visit" not in ask(slot_of(FakePredictor()), "halves", visit)
    visits.put("a", visit)
    assert visits.get("a") is not visit


def test_a_question_is_not_asked_about_another_picture() -> None:
    """It waited for its turn, and meanwhile the page shows another visit, whose question may be in the box."""
    predictor, visit = FakePredictor(), visit_of()
    slot = slot_of(predictor)
    (page,) = asking.ask(slot, "halves", visit=visit, number=visit_of().number)
    assert page == {"chat_notice": notice(asking.OTHER_PICTURE.format("halves"))}
    assert predictor.written == 0
    shown = handlers.show_visit(visit)
    assert list(asking.ask(slot, "halves", visit=visit, number=shown["number"]))
    assert predictor.written == len(predictor.answer)


def test_a_stop_where_the_gpu_is_lent_keeps_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that writes the answer cannot be told, so there is no result."""
    monkeypatch.setattr(gpu, "is_lent", lambda: True)
    monkeypatch.setattr(gpu, "_stop_of", lambda number: lambda: False)
    visit, page = visit_of(), dict[str, Any]()
    monkeypatch.setattr(gpu, "encode", lambda predictor, picture, share: predictor.encode_image(picture, share))
    for updates in asking.ask(
        slot_of(FakePredictor([*ANSWER[:3], *[" and"] * 500], pause_s=0.02)), "halves", visit=visit
    ):
        page |= updates
        if visit.masks:
            visit.stop.set()
    assert "left half" in page["chat"][1]["content"]
    assert literal(answering.CUT_OFF) in page["chat"][1]["content"]
    assert page["prompt"]["value"] == "halves"
    assert len(visit.masks) == 1
    asking.edit_question(visit)
    assert (visit.masks, visit.messages) == ([], [])


def test_downloads_that_were_cleaned_up_are_no_longer_offered() -> None:
    """Gradio would raise for each, and nothing of the answer would be shown."""
    visit, slot = visit_of(), slot_of(FakePredictor())
    ask(slot, "halves", visit)
    ask(slot, "halves", visit)
    assert visit.earlier
    gone = [visit.downloads[0], *visit.earlier]
    for path in gone:
        Path(path).unlink()
    page = asking.edit_question(visit)
    assert (visit.downloads, visit.earlier) == ([], [])
    page = ask(slot, "halves", visit)
    Path(visit.downloads[0]).unlink()
    page = asking.save_conversation("nano", visit)
    assert len(page["downloads"].value) == len(visit.downloads) == 8
    assert all(Path(path).is_file() for path in visit.downloads)


def test_there_is_no_question_to_go_back_to_before_the_first_and_during_an_answer() -> None:
    slot, visit = slot_of(FakePredictor()), visit_of()
    for nothing in (None, visit):
        assert literal(asking.NOTHING_ASKED) in asking.edit_question(nothing)["chat_notice"]
        assert literal(asking.NOTHING_ASKED) in next(asking.ask_again(slot, visit=nothing))["chat_notice"]
    ask(slot, "halves", visit)
    visit.begin_answer()
    assert literal(asking.STILL_WRITING) in asking.edit_question(visit)["chat_notice"]
    assert len(visit.asked) == 1


def test_a_stop_before_the_first_word_gives_the_question_back() -> None:
    visit = visit_of()
    answer = asking.ask(slot_of(FakePredictor(["a"], pause_s=0.3)), "segment", visit=visit)
    page = next(answer)
    visit.stop.set()
    for updates in answer:
        page |= updates
    assert page["chat"] == []
    assert page["prompt"]["value"] == "segment"
    assert page["chat_notice"] == notice(f"{answering.NO_ANSWER} {answering.QUESTION_BACK}")


def test_words_that_the_embedded_model_misreads_are_put_otherwise_and_the_visitor_decides() -> None:
    visit, slot = visit_of(), slot_of(FakePredictor())
    slot.is_embedded = True
    page = ask(slot, "Cat?", visit)
    assert set(page) == {"chat_notice", "prompt"}
    assert page["prompt"]["value"] == "segment the cat"
    assert ask(slot, "segment the cat", visit)["chat"][0]["content"] == "segment the cat"
    slot.is_embedded = False
    assert "chat" in ask(slot, "Cat?", visit_of())


def test_the_choice_of_edges_reaches_the_model_if_the_page_offers_it() -> None:
    """A request may name anything; SAM is offered, and run, only where its weights were named at the start."""
    predictor = FakePredictor()
    slot = slot_of(predictor)
    for choice in ("guided", "sam", "../x", None):
        ask(slot, "halves", visit_of(), choice)
    assert predictor.refinements == ["guided", "auto", "auto", "auto"]
    assert list(asking.refinements(slot)) == ["none", "guided", "grabcut"]
    slot.has_sam = True
    ask(slot, "halves", visit_of(), "sam")
    assert predictor.refinements[-1] == "sam"


def test_a_full_disk_takes_the_downloads_and_not_the_answer() -> None:
    visit = visit_of((400, 300))
    with full_after(100):
        page = ask(slot_of(FakePredictor()), "halves", visit)
    assert literal(answering.NO_DOWNLOADS) in page["chat_notice"]
    assert "right half" in page["chat"][-1]["content"]
    assert (len(visit.masks), visit.downloads, [shown.file for shown in visit.masks]) == (2, [], ["", ""])
    page = ask(slot_of(FakePredictor()), "halves", visit)
    assert (page["chat_notice"], len(visit.downloads), visit.earlier) == ("", 8, [])


@pytest.mark.parametrize("again", [False, True])
def test_a_broken_connection_leaves_the_chat_as_it_was(again: bool) -> None:
    """Gradio closes the generator; the visit lives on with the tab."""
    slot, visit = slot_of(FakePredictor(pause_s=0.01)), visit_of()
    for prompt in ("halves", "halves again"):
        ask(slot, prompt, visit)
    before, files = visit.keep(), [list(asked.files) for asked in visit.asked]
    answer = asking.ask_again(slot, visit=visit) if again else asking.ask(slot, "and now?", visit=visit)
    while len(visit.masks) < 3 + 2 * (not again):
        next(answer)
    answer.close()  # type: ignore[attr-defined]
    assert visit.keep() == before
    assert [asked.files for asked in visit.asked] == files
    assert all(Path(path).is_file() for path in files[1])
    assert visit.idle.is_set()

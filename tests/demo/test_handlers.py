"""What the page does on each event, without a browser."""

import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo import gpu, handlers
from demo.chat import answering, asking
from demo.chat.chat import WENT_WRONG
from demo.chat.downloads import enlarge_mask
from demo.chat.visit import (
    MAX_KEPT_PIXELS,
    MAX_SHOWN_PX,
    ShownMask,
    Visit,
    close_visit,
    shrink_mask,
    shrink_picture,
)
from demo.chat.visits import VisitStore
from demo.html import literal
from demo.loading import LOAD_FAILED, ModelInfo, ModelSlot
from stamp.pictures.masks import decode_rle
from stamp.pictures.visualization import mask_colour
from tests.demo.chat.test_chat import slot_of
from tests.demo.fake import ANSWER, FakePredictor, half
from tests.demo.pictures import write_bad, write_good
from tests.disks import full_after


def visit_of(size_wh: tuple[int, int] = (40, 30)) -> Visit:
    return Visit(Image.new("RGB", size_wh, "white"))


def ask(slot: ModelSlot, prompt: str, visit: Visit | None, refine: str | None = None) -> dict[str, Any]:
    """The page after all updates of one question."""
    page: dict[str, Any] = {}
    for updates in asking.ask(slot, prompt, visit, refine):
        page |= updates
    return page


@pytest.mark.parametrize("name", ["corrupt", "no image", "empty", "huge", "bomb", "strip"])
def test_a_bad_picture_gives_a_sentence_and_changes_nothing_else(tmp_path: Path, name: str) -> None:
    path, words = write_bad(tmp_path)[name]
    page = handlers.choose_picture(str(path), visit_of())
    assert set(page) == {"picture", "picture_notice"}
    assert page["picture"] is None
    assert literal(words) in page["picture_notice"]


def test_a_web_address_is_refused() -> None:
    page = handlers.choose_picture("https://example.org/cat.png", None)
    assert literal("not a web address") in page["picture_notice"]


def test_every_kind_of_good_picture_begins_a_visit(tmp_path: Path) -> None:
    for path, size in write_good(tmp_path).values():
        page = handlers.choose_picture(str(path), None)
        assert page["visit"].picture.size == size
        assert page["stage"].mode == "RGB"


def test_a_new_picture_ends_the_answer_about_the_old_one(tmp_path: Path) -> None:
    old = visit_of()
    answer = asking.ask(slot_of(FakePredictor(["a"] * 500, pause_s=0.02)), "segment", old)
    next(answer)
    threading.Timer(0.1, lambda: list(answer)).start()  # Gradio goes on asking for updates
    page = handlers.choose_picture(str(write_good(tmp_path)["alpha.png"][0]), old)
    assert old.is_left
    assert old.stop.is_set()
    assert old.idle.is_set()  # nothing of the old answer can reach the page any more
    assert page["chat"] == [] == old.messages


def test_a_refused_picture_does_not_disturb_the_answer(tmp_path: Path) -> None:
    visit = visit_of()
    visit.begin_answer()
    handlers.choose_picture(str(write_bad(tmp_path)["corrupt"][0]), visit)
    assert not visit.is_left
    assert not visit.stop.is_set()


def test_a_slow_model_may_look_at_a_quarter_of_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each question anew: the picture is encoded again when the choice changes, and the dialogue goes on."""
    predictor, visit = FakePredictor(), visit_of()
    slot = slot_of(predictor)
    assert slot.wait(9)
    assert handlers.watch_loading(slot)["fast"].visible is False
    list(asking.ask(slot, "segment", visit, fast=True))
    assert predictor.shares == [1.0]  # a small model has no need of it
    monkeypatch.setattr("stamp.checkpoints.quantization.AUTO_PARAMETERS", 1_000_000)
    assert handlers.watch_loading(slot)["fast"].visible is True
    for fast in (True, True, False):
        list(asking.ask(slot, "segment", visit, fast=fast))
    assert predictor.shares == [1.0, 0.25, 1.0]
    restarted = visit.restarted()
    list(asking.ask(slot, "segment", restarted))
    list(asking.ask_again(slot, restarted, fast=True))
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
    page = ask(slot_of(FakePredictor(error=RuntimeError("secret"))), "segment", visit)
    assert literal(WENT_WRONG) in page["chat"][-1]["content"]
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


def test_opacity_redraws() -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)
    assert handlers.set_opacity(100, visit)["stage"].getpixel((5, 15)) == (0, 238, 238)
    assert handlers.set_opacity(10, None) == {}


@pytest.mark.parametrize("answers", [1, 2])
def test_the_last_question_can_be_asked_again_or_changed(answers: int) -> None:
    visit, slot = visit_of(), slot_of(FakePredictor())
    for number in range(answers):
        ask(slot, f"halves {number}", visit)
    before = (len(visit.messages), list(visit.turns), [shown.label for shown in visit.masks], list(visit.visible))
    assert list(asking.ask_again(slot, visit))
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
    for number, updates in enumerate(asking.ask_again(slot_of(predictor), visit)):
        page |= updates
        if number == 0:
            assert len(updates["chat"]) == 2
            assert updates["mask_panel"].visible is False  # the page does not show what cannot be clicked
            if how == "stop":
                visit.stop.set()
    assert before == (visit.messages, visit.turns, visit.masks, visit.visible, visit.downloads)
    assert page["chat"] == visit.messages
    assert page["prompt"]["value"] == "halves"
    assert page["mask_panel"].visible
    assert len(page["downloads"].value) == len(visit.downloads) > 0
    words = WENT_WRONG if how == "failure" else answering.NO_ANSWER
    assert literal(words) in page["chat_notice"]


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
    """It waited for its turn, and meanwhile the page shows another visit."""
    predictor, visit = FakePredictor(), visit_of()
    slot = slot_of(predictor)
    (page,) = asking.ask(slot, "halves", visit, number=visit_of().number)
    assert page["prompt"]["value"] == "halves"
    assert literal(asking.OTHER_PICTURE) in page["chat_notice"]
    assert predictor.written == 0
    shown = handlers.show_visit(visit)
    assert list(asking.ask(slot, "halves", visit, number=shown["number"]))
    assert predictor.written == len(predictor.answer)


def test_a_stop_where_the_gpu_is_lent_keeps_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that writes the answer cannot be told, so there is no result."""
    monkeypatch.setattr(gpu, "is_lent", lambda: True)
    monkeypatch.setattr(gpu, "_stop_of", lambda number: lambda: False)
    visit, page = visit_of(), dict[str, Any]()
    monkeypatch.setattr(gpu, "encode", lambda predictor, picture, share: predictor.encode_image(picture, share))
    for updates in asking.ask(slot_of(FakePredictor([*ANSWER[:3], *[" and"] * 500], pause_s=0.02)), "halves", visit):
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
        assert literal(asking.NOTHING_ASKED) in next(asking.ask_again(slot, nothing))["chat_notice"]
    ask(slot, "halves", visit)
    visit.begin_answer()
    assert literal(asking.STILL_WRITING) in asking.edit_question(visit)["chat_notice"]
    assert len(visit.asked) == 1


def test_a_stop_before_the_first_word_gives_the_question_back() -> None:
    visit = visit_of()
    answer = asking.ask(slot_of(FakePredictor(["a"], pause_s=0.3)), "segment", visit)
    page = next(answer)
    visit.stop.set()
    for updates in answer:
        page |= updates
    assert page["chat"] == []
    assert page["prompt"]["value"] == "segment"
    assert literal(answering.NO_ANSWER) in page["chat_notice"]


def test_words_that_the_embedded_model_misreads_are_put_otherwise_and_the_visitor_decides() -> None:
    visit, slot = visit_of(), slot_of(FakePredictor())
    slot.is_embedded = True
    page = ask(slot, "Cat?", visit)
    assert set(page) == {"chat_notice", "prompt"}
    assert page["prompt"]["value"] == "segment the cat"
    assert ask(slot, "segment the cat", visit)["chat"][0]["content"] == "segment the cat"
    slot.is_embedded = False
    assert "chat" in ask(slot, "Cat?", visit_of())


def test_a_new_conversation_keeps_picture_and_features() -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)
    page = handlers.restart(visit)
    fresh = page["visit"]
    assert page["chat"] == []
    assert (fresh.encoded, fresh.picture) == (visit.encoded, visit.picture)
    assert (fresh.turns, fresh.masks, fresh.downloads, fresh.asked) == ([], [], [], [])
    assert visit.stop.is_set()
    assert handlers.restart(None) == {"chat": [], "chat_notice": ""}


def test_the_end_of_a_session_deletes_its_files() -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)
    folder = visit.folder()
    assert folder.is_dir()
    close_visit(visit)
    assert visit.stop.is_set()
    del visit
    assert not folder.exists()


def test_large_pictures_are_shown_smaller_and_masks_with_them() -> None:
    visit = visit_of((4000, 1000))
    assert visit.shown.size == (MAX_SHOWN_PX, MAX_SHOWN_PX // 4)
    visit.add_mask(half((1000, 4000), 0), is_first=True)
    assert (visit.masks[0].mask == half((320, 1280), 0)).all()
    assert shrink_mask(half((4, 4), 1), (4, 4)).sum() == 8


def test_of_a_large_picture_a_smaller_copy_is_kept_and_masks_are_downloaded_in_the_original_size() -> None:
    visit = visit_of((6000, 4000))
    assert visit.size_wh == (6000, 4000)
    assert MAX_KEPT_PIXELS * 0.99 < visit.picture.width * visit.picture.height <= MAX_KEPT_PIXELS
    assert visit.n_bytes < 4 * (MAX_KEPT_PIXELS + MAX_SHOWN_PX**2)
    ask(slot_of(FakePredictor()), "halves", visit)
    record = json.loads(Path(visit.downloads[6]).read_text())
    assert (record["width"], record["height"]) == (6000, 4000)
    assert [mask["area_px"] for mask in record["masks"]] == [12_000_000, 12_000_000]
    assert (decode_rle(record["masks"][0]["rle"]) == half((4000, 6000), 0)).all()
    with Image.open(visit.downloads[1]) as png:
        assert png.size == (6000, 4000)
    with Image.open(visit.downloads[2]) as cutout:
        assert cutout.mode == "RGBA"
    assert visit.restarted().size_wh == (6000, 4000)


def test_a_known_thing_becomes_a_request() -> None:
    assert handlers.choose_noun(["ice cream"])["prompt"]["value"] == "segment the ice cream"


def test_the_model_line_tells_of_the_embedded_model_only() -> None:
    info = ModelInfo("stamp-nano", is_embedded=True, parameters=5_000_000, device="cpu", dtype="float32")
    assert handlers.PUBLISHED in handlers.about(info)
    assert handlers.about(ModelInfo("x/y", is_embedded=False, parameters=1, device="cpu", dtype="float32")) == ""


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


@pytest.mark.parametrize(
    ("large", "small"), [((7, 5), (3, 2)), ((100, 67), (31, 20)), ((9, 9), (3, 9)), ((8, 6), (4, 3))]
)
def test_masks_are_made_smaller_as_pillow_takes_the_nearest_pixel(
    large: tuple[int, int], small: tuple[int, int]
) -> None:
    mask = np.random.default_rng(0).random(large) < 0.5
    nearest = Image.fromarray(mask.astype(np.uint8)).resize(small[::-1], Image.Resampling.NEAREST)
    np.testing.assert_array_equal(shrink_mask(mask, small), np.asarray(nearest).astype(bool))


def test_a_mask_stays_where_it_is_when_it_is_made_smaller_or_larger() -> None:
    """One object in the middle third; a shift by half a pixel of the small mask would be three of the large one."""
    mask = np.zeros((54, 54), dtype=bool)
    mask[18:36, 18:36] = True
    small = shrink_mask(mask, (9, 9))
    expected = np.zeros((9, 9), dtype=bool)
    expected[3:6, 3:6] = True
    np.testing.assert_array_equal(small, expected)
    again = enlarge_mask(small, (54, 54))
    assert again.sum() == pytest.approx(mask.sum(), rel=0.05)
    assert np.argwhere(again).mean(0).tolist() == pytest.approx(np.argwhere(mask).mean(0).tolist())


def test_a_mask_that_is_made_larger_keeps_straight_edges_and_its_orientation() -> None:
    wide = enlarge_mask(half((4, 6), 0), (60, 20))
    np.testing.assert_array_equal(wide, half((20, 60), 0))
    mask = half((4, 6), 0)
    assert enlarge_mask(mask, (6, 4)) is mask


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "empty"),
        (1e-6, "under 1 % of the picture"),
        (0.0099, "under 1 % of the picture"),
        (0.01, "1 % of the picture"),
        (0.126, "13 % of the picture"),
        (1.0, "100 % of the picture"),
    ],
)
def test_how_much_of_the_picture_a_mask_covers(share: float, words: str) -> None:
    assert ShownMask(np.zeros((1, 1), dtype=bool), share).size_in_words == words


def test_a_picture_at_the_limit_is_kept_as_it_is() -> None:
    at, above = Image.new("L", (2000, 1000)), Image.new("L", (2001, 1000))
    assert shrink_picture(at) is at
    assert shrink_picture(above).size == (2000, 999)
    assert shrink_picture(Image.new("L", (3_000_000, 1))).size[1] == 1


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
    answer = asking.ask_again(slot, visit) if again else asking.ask(slot, "and now?", visit)
    while len(visit.masks) < 3 + 2 * (not again):
        next(answer)
    answer.close()  # type: ignore[attr-defined]
    assert visit.keep() == before
    assert [asked.files for asked in visit.asked] == files
    assert all(Path(path).is_file() for path in files[1])
    assert visit.idle.is_set()


def test_stop_frees_the_model_within_one_token() -> None:
    predictor, visit = FakePredictor(["word "] * 500, pause_s=0.02), visit_of()
    answer = asking.ask(slot_of(predictor), "segment", visit)
    while predictor.written < 3:
        next(answer)
    handlers.stop_answer(visit)
    written = predictor.written
    list(answer)
    assert predictor.lock.acquire(timeout=5)
    predictor.lock.release()
    assert written <= predictor.written <= written + 1

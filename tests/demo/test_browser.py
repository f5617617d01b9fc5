"""The page in headless Chromium: what a visitor does, and that nothing leaves the machine."""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from demo.chat.asking import NO_PICTURE, STILL_WRITING
from demo.chat.gallery import EXAMPLES, read_examples
from demo.chat.unknown import UNKNOWN_ANSWER
from stamp.pictures.visualization import mask_colour
from tests.demo.browsing import chromium, eventually, needs_browser, opened, served
from tests.demo.fake import FakePredictor
from tests.demo.pictures import write_bad

UPLOAD = "#picture input[type=file]"

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@contextmanager
def visited(browser: Any, load: Callable[[], Any], is_embedded: bool = False, **view: Any) -> Iterator[Any]:
    """The page of a served demo, ready for a picture."""
    with served(load, is_embedded=is_embedded) as url, opened(browser, url, **view) as page:
        page.wait_for_selector(UPLOAD, state="attached")
        page.wait_for_selector("#chat", state="attached")
        yield page


def stage(page: Any) -> np.ndarray:
    """Pixels (H, W, 3) of the picture that is shown."""
    body = page.request.get(page.get_attribute("#stage img", "src")).body()
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))


def pixels_of(page: Any, mask: int) -> int:
    """Number of pixels in the pure colour of a mask: its outline."""
    return int((stage(page) == ImageColor.getrgb(mask_colour(mask))).all(-1).sum())


def ask(page: Any, prompt: str, answers: int = 1) -> None:
    page.fill("#prompt textarea", prompt)
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelectorAll('#chat .readout').length == {answers}")


@contextmanager
def asked_for_halves(browser: Any, folder: Path) -> Iterator[Any]:
    """The page on a large screen, after an answer with a mask for each half of a white picture of 900 x 600."""
    Image.new("RGB", (900, 600), "white").save(folder / "white.png")
    with visited(browser, FakePredictor, viewport={"width": 1440, "height": 900}) as page:
        page.set_input_files(UPLOAD, folder / "white.png")
        page.wait_for_selector("#stage img")
        ask(page, "halves")
        yield page


def test_a_visitor_uploads_a_picture_asks_for_a_mask_and_sees_it(browser: Any) -> None:
    from stamp import StampPredictor

    picture, prompt = read_examples(EXAMPLES)[0]
    with visited(browser, StampPredictor.from_pretrained) as page:
        page.set_input_files(UPLOAD, picture)
        page.wait_for_selector("#stage img")
        assert pixels_of(page, 0) == 0
        ask(page, prompt)
        page.wait_for_selector("#chat .noun-0")
        name = page.inner_text("#chat .noun-0")
        page.wait_for_selector(f"#masks .name >> text={name}")
        assert pixels_of(page, 0) > 50


def test_a_conversation_on_a_phone(browser: Any, tmp_path: Path) -> None:
    """With a stand-in for the model: masks, checkboxes, downloads, literal text, a second turn, a restart."""
    Image.new("RGB", (60, 40), "white").save(tmp_path / "white.png")
    with visited(browser, FakePredictor, viewport={"width": 390, "height": 844}) as page:
        page.set_input_files(UPLOAD, tmp_path / "white.png")
        page.wait_for_selector("#stage img")
        ask(page, "<img src=http://example.org/a.png> <|seg|> **x**")
        assert "<img src=http://example.org/a.png> <|seg|> **x**" in page.inner_text("#chat")
        assert page.locator("#chat img, #chat a, #chat strong").count() == 0
        page.wait_for_selector("#masks >> text=right half")
        eventually(lambda: pixels_of(page, 0) > 0 and pixels_of(page, 1) > 0)
        box = page.locator("#stage img").bounding_box()  # larger than the picture
        page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
        page.wait_for_selector("#masks li.selected >> text=right half")
        page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
        page.wait_for_selector("#masks li.selected", state="detached")
        page.click("#masks [data-mask='0'][data-act='show']")
        eventually(lambda: pixels_of(page, 0) == 0 and pixels_of(page, 1) > 0)
        with page.expect_download() as download:
            page.locator("#downloads a").nth(1).click()  # the first is the ZIP
        assert download.value.suggested_filename == "left_half.png"
        with page.expect_download() as download:
            page.locator("#downloads a").first.click()
        with zipfile.ZipFile(download.value.path()) as archive:
            assert {"left_half.png", "left_half_cutout.png", "answer_1.svg", "answer_1_coco.json"} <= set(
                archive.namelist()
            )
            with Image.open(archive.open("left_half_cutout.png")) as cutout:
                assert (cutout.mode, cutout.size) == ("RGBA", (30, 40))
        ask(page, "again", answers=2)
        assert "left half 2" in page.inner_text("#masks")
        stage, chat = page.locator("#stage").bounding_box(), page.locator("#chat").bounding_box()
        assert abs(chat["y"] - stage["y"] - stage["height"]) < 40  # right under the picture
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.click("#restart")
        page.wait_for_selector("#mask-panel", state="hidden")
        assert page.locator("#chat .message").count() == 0
        assert page.is_visible("#stage img")


def test_a_mask_is_selected_in_the_picture_in_the_list_and_by_its_name(browser: Any, tmp_path: Path) -> None:
    with asked_for_halves(browser, tmp_path) as page:
        page.wait_for_selector("#masks .name >> text=left half")
        page.click("#chat .noun-0")
        page.wait_for_selector("#masks li.selected >> text=left half")
        eventually(lambda: pixels_of(page, 1) == 0 < pixels_of(page, 0))  # the other has no outline
        assert float(page.locator("#chat .noun").nth(1).evaluate("name => getComputedStyle(name).opacity")) < 0.5
        page.click("#masks .name >> text=right half")
        page.wait_for_selector("#masks li.selected >> text=right half")
        box = page.locator("#stage img").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2)
        page.wait_for_selector("#masks li.selected >> text=left half")
        page.locator("#chat .noun").nth(1).focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#masks li.selected >> text=right half")


def test_a_click_counts_while_the_picture_of_the_last_one_is_still_on_its_way(browser: Any, tmp_path: Path) -> None:
    """Until a new picture is there, its element does not know its size."""
    with asked_for_halves(browser, tmp_path) as page:
        page.wait_for_selector("#masks .name >> text=right half")
        box = page.locator("#stage img").bounding_box()
        at = box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2
        pictures: list[Any] = []
        page.route("**/file=**", lambda route: pictures.append(route))
        page.mouse.click(*at)
        page.wait_for_selector("#masks li.selected >> text=left half")
        eventually(lambda: page.evaluate("document.querySelector('#stage img').naturalWidth") == 0)
        page.mouse.click(*at)
        page.wait_for_selector("#masks li.selected", state="detached", timeout=10_000)
        for picture in pictures:
            picture.continue_()


def test_the_pointer_at_a_name_shows_the_outline_of_its_mask(browser: Any, tmp_path: Path) -> None:
    with asked_for_halves(browser, tmp_path) as page:
        page.wait_for_selector("#masks .name >> text=right half")
        place = page.locator("#stage img").bounding_box()
        scale = min(place["width"] / 900, place["height"] / 600)
        middle = place["x"] + place["width"] / 2
        for hover, left in (("#masks li >> nth=0", middle - 450 * scale), ("#chat .noun >> nth=1", middle)):
            page.hover(hover)
            page.wait_for_selector("#stage .preview path")
            box = page.locator("#stage .preview path").bounding_box()
            assert abs(box["x"] - left) < 6
            assert abs(box["width"] - 450 * scale) < 12  # with the line itself
            assert abs(box["height"] - 600 * scale) < 12
        page.mouse.move(5, 5)
        page.wait_for_selector("#stage .preview", state="detached")
        with page.expect_download() as download:
            page.click("#save")
        assert download.value.suggested_filename == "conversation.html"


def test_the_last_question_comes_back(browser: Any, tmp_path: Path) -> None:
    """By the arrow key, for another try, to be changed; and Enter during an answer says why nothing happens."""
    Image.new("RGB", (60, 40), "white").save(tmp_path / "white.png")
    with visited(browser, lambda: FakePredictor(["It", " is", " white."], pause_s=0.5)) as page:
        page.set_input_files(UPLOAD, tmp_path / "white.png")
        page.wait_for_selector("#stage img")
        page.fill("#prompt textarea", "what's  this?")
        page.keyboard.press("Enter")
        page.wait_for_selector("#prompt .stop-button")
        page.fill("#prompt textarea", "and that?")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#chat-notice >> text={STILL_WRITING}")
        page.wait_for_selector("#chat .readout")
        page.fill("#prompt textarea", "")
        page.press("#prompt textarea", "ArrowUp")
        assert page.input_value("#prompt textarea") == "what's  this?"
        page.click("#retry")
        page.wait_for_selector("#chat .readout", state="detached")
        page.wait_for_selector("#chat .readout")
        assert page.locator("#chat [data-testid=user]").count() == 1
        page.fill("#prompt textarea", "")
        page.click("#edit")
        eventually(lambda: page.input_value("#prompt textarea") == "what's  this?")
        assert page.locator("#chat [data-testid=user]").count() == 0


HAND_OVER = """([name, type, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "%s", { type: "%s" }));
  const over = document.querySelector("#chat");
  const [event, options] = name === "paste"
    ? [ClipboardEvent, { clipboardData: data }] : [DragEvent, { dataTransfer: data }];
  over.dispatchEvent(new event(name, { bubbles: true, cancelable: true, ...options }));
}"""


def test_a_picture_is_dropped_or_pasted_anywhere_and_swapped_in_one_step(browser: Any, tmp_path: Path) -> None:
    def hand_over(name: str, content: bytes, file: str = "new.png", kind: str = "image/png") -> None:
        page.evaluate(HAND_OVER % (file, kind), [name, kind, list(content)])

    def png(colour: str) -> bytes:
        Image.new("RGB", (60, 40), colour).save(tmp_path / "new.png")
        return (tmp_path / "new.png").read_bytes()

    with visited(browser, FakePredictor) as page:
        hand_over("drop", b"%PDF-1.7 nothing", "paper.pdf", "application/pdf")
        page.wait_for_selector("#picture-notice >> text=“paper.pdf”: This file is a PDF")
        hand_over("drop", png("red"))
        page.wait_for_selector("#stage img")
        eventually(lambda: (stage(page)[20, 30] == (255, 0, 0)).all())
        assert page.locator("#picture-notice .notice").count() == 0
        ask(page, "halves")
        hand_over("paste", png("blue"))
        eventually(lambda: (stage(page)[20, 30] == (0, 0, 255)).all())
        eventually(lambda: page.locator("#chat .message").count() == 0)
        page.fill("#prompt textarea", "typed")
        page.evaluate(
            """() => {
              const data = new DataTransfer();
              data.setData("text/plain", " text");
              const event = new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: data });
              window.wasLeft = document.querySelector("#prompt textarea").dispatchEvent(event);
            }"""
        )
        assert page.evaluate("window.wasLeft")  # words go where they were pasted


def test_a_thing_the_model_knows_becomes_a_question(browser: Any) -> None:
    with visited(browser, FakePredictor, is_embedded=True) as page:
        page.click("#known button")
        page.fill("#search input", "Ice")
        page.wait_for_selector("#nouns .gallery-item >> text=/^apple$/", state="hidden")
        page.click("#nouns .gallery-item >> text=/^ice cream$/")
        eventually(lambda: page.input_value("#prompt textarea") == "segment the ice cream")


def test_a_copied_answer_keeps_its_lines_and_what_the_page_adds_below(browser: Any, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "white").save(tmp_path / "white.png")
    predictor = FakePredictor(["It is red.\nAnd  round."])
    with visited(browser, lambda: predictor, is_embedded=True) as page:
        page.set_input_files(UPLOAD, tmp_path / "white.png")
        page.wait_for_selector("#stage img")
        page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        ask(page, "what is it?")
        page.click("#copy")
        eventually(lambda: page.evaluate("window.copied") == "It is red.\nAnd  round.")
        predictor.answer = [UNKNOWN_ANSWER]
        page.fill("#prompt textarea", "segment the aple")
        page.keyboard.press("Enter")
        page.wait_for_selector("#chat >> text=Did you mean apple?")
        page.click("#copy")
        eventually(lambda: page.evaluate("window.copied") == f"{UNKNOWN_ANSWER}\nDid you mean apple?")


def test_bad_input_is_told_and_loses_nothing_and_stop_stops(browser: Any, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "white").save(tmp_path / "white.png")
    with visited(browser, lambda: FakePredictor(["word "] * 2000, pause_s=0.05)) as page:
        page.fill("#prompt textarea", "segment the apple")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#chat-notice >> text={NO_PICTURE}")
        assert page.input_value("#prompt textarea") == "segment the apple"
        page.set_input_files(UPLOAD, write_bad(tmp_path)["no image"][0])
        page.wait_for_selector("#picture-notice >> text=not an image")
        page.set_input_files(UPLOAD, tmp_path / "white.png")
        page.wait_for_selector("#stage img")
        assert page.input_value("#prompt textarea") == "segment the apple"
        page.click("#prompt .submit-button")
        page.wait_for_selector("#chat >> text=word word")
        page.click("#prompt .stop-button")
        page.wait_for_selector("#chat .readout >> text=stopped")
        page.wait_for_selector("#prompt .submit-button")

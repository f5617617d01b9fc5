"""A conversation as a file: complete, harmless, alone."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.chat.asking import NOT_SAVED, NOTHING_ASKED, edit_question, save_conversation
from demo.chat.transcript import TRANSCRIPT_FILE
from demo.html import literal, notice
from tests.demo.fake import FakePredictor, ask, slot_of, visit_of


def test_the_file_has_the_picture_with_its_masks_and_every_word_and_loads_nothing() -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves <script>alert(1)</script>", visit)
    ask(slot_of(FakePredictor(["It is <b>white</b>."])), "and its colour", visit)
    visit.visible = [1]
    page = save_conversation("nano <1>", visit)
    assert page["chat_notice"] == ""
    assert page["downloads"].value[-1]["path"].endswith(TRANSCRIPT_FILE)
    html = Path(visit.downloads[-1]).read_text(encoding="utf-8")
    for words in ("halves <script>alert(1)</script>", "It is <b>white</b>.", "and its colour", "nano <1>"):
        assert literal(words) in html
        assert not re.search(r"[<>]", words) or words not in html
    assert html.count("<dt>You</dt>") == html.count("<dt>STAMP</dt>") == 2
    picture = re.search(r'src="data:image/webp;base64,([^"]+)"', html)
    assert picture is not None
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture[1]))).convert("RGB")).astype(int)
    assert np.abs(shown - np.asarray(visit.draw())).mean() < 6  # as on the page: here one of the two masks
    assert not re.search(r"(?:src|href)=\"(?!data:)|@import|url\(", html)
    assert "default-src 'none'" in html


def test_it_is_among_the_downloads_once_and_goes_with_the_answer() -> None:
    visit = visit_of()
    assert save_conversation("nano", visit) == {"chat_notice": notice(NOTHING_ASKED)} == save_conversation("nano", None)
    for _ in range(2):
        ask(slot_of(FakePredictor()), "halves", visit)
        save_conversation("nano", visit)
        save_conversation("nano", visit)
        files = [Path(path).name for path in (*visit.downloads, *visit.earlier)]
        assert files.count(TRANSCRIPT_FILE) == 1
    path = Path(visit.downloads[-1])
    edit_question(visit)
    assert not path.exists()


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    before = list(visit.downloads)
    monkeypatch.setattr(Path, "write_text", full)
    assert save_conversation("nano", visit) == {"chat_notice": notice(NOT_SAVED)}
    assert visit.downloads == before

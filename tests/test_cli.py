"""`python -m stamp`: files written, exit status, one sentence for bad input."""

import io
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from stamp.__main__ import _print_answer, main
from stamp.conversation import Done, MaskComing, MaskReady, Segmentation, StreamEvent, TextDelta, Turn
from stamp.output import write_result
from stamp.predictor import StampPredictor

PARITY = Path(__file__).parent / "parity"
PICTURE = PARITY / "images" / "land_200x120.png"
TIED = ["--model", str(PARITY / "models" / "tied"), "--device", "cpu", "--dtype", "float32"]


@pytest.fixture
def two_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights never write <|seg|>: the answer is forced, its masks are real."""

    def segment(self: StampPredictor, image: object, prompt: str, *_: object, **__: object) -> Segmentation:
        return self.predict_masks(image, prompt, "Sure <|seg|> and <|seg|>")  # type: ignore[arg-type]

    monkeypatch.setattr(StampPredictor, "segment", segment)


def test_segment_writes_result_masks_and_overlay(
    two_masks: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", str(PICTURE), "Segment the boat.", *TIED, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", "mask_1.png", "mask_2.png", "overlay.png"}
    record = json.loads((tmp_path / "result.json").read_text())
    assert (record["text"], record["width"], record["height"]) == ("Sure  and ", 200, 120)
    assert set(record["timings_s"]) == {"vision", "prefill", "decode", "mask", "refine", "total"}
    assert record["timings_s"]["vision"] > 0
    assert record["versions"]["device"] == "cpu"
    assert [entry["label"] for entry in record["masks"]] == ["mask 1", "mask 2"]
    for index, entry in enumerate(record["masks"]):
        mask = np.asarray(Image.open(tmp_path / f"mask_{index + 1}.png"))
        assert set(np.unique(mask)) <= {0, 255}
        decoded = coco.decode({"size": entry["rle"]["size"], "counts": entry["rle"]["counts"].encode()})
        assert (decoded.astype(bool) == (mask == 255)).all()
        assert entry["area_px"] == int((mask == 255).sum())
        rows, columns = np.nonzero(mask)
        x, y, width, height = entry["bbox_xywh"]
        assert (x, y, x + width - 1, y + height - 1) == (columns.min(), rows.min(), columns.max(), rows.max())
        assert 0.5 < entry["score"] <= 1
    assert Image.open(tmp_path / "overlay.png").size == (200, 120)
    assert "Sure <|seg|> and <|seg|>" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("image", "prompt", "model", "message"),
    [
        ("missing.png", "Hi", TIED, "missing.png"),
        (str(PICTURE), "  ", TIED, "Type a request first"),
        (str(PICTURE), "Hi", [*TIED, "--quantization", "int3"], "int3"),
        (str(PICTURE), "Hi", ["--model", "no/such/folder/here"], "no/such/folder/here"),
    ],
)
def test_bad_input_is_one_sentence(
    image: str, prompt: str, model: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["segment", image, prompt, *model, "--out", str(out)]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert not out.exists()


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence with which a command ends that must not load the model."""

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(StampPredictor, "load", forbidden)
    assert main([*arguments, *TIED]) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("command", [("segment", str(PICTURE), "Hi"), ("chat", str(PICTURE))])
def test_an_output_that_cannot_be_is_refused_before_loading(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "overlay.png").write_text("mine")
    for out, sentence in (
        ("file", "is a file; name a folder"),
        ("file/below", "cannot be written; name another folder"),
        ("taken", "overlay.png in "),
    ):
        assert sentence in refused(monkeypatch, capsys, *command, "--out", str(tmp_path / out))
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "cannot be written" in refused(monkeypatch, capsys, *command, "--out", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("segment", "missing.png", "Hi"), "missing.png"),
        (("segment", str(PICTURE), " "), "Type a request first"),
        (("segment", str(PICTURE), "Hi", "--refine", "magic"), "magic"),
        (("segment", str(PICTURE), "segment the \udce9toile"), "not UTF-8"),
        (("segment", str(PICTURE), "Hi", "--refine", "sam"), "give --sam-model"),
        (("segment", str(PICTURE), "Hi", "--sam-model", "facebook/sam-vit-huge"), "--sam-model is for --refine sam"),
        (("chat", str(PICTURE), "--refine", "sam"), "give --sam-model"),
        (("chat", "missing.png"), "missing.png"),
        (("chat", str(PICTURE), "--refine", "magic"), "magic"),
    ],
)
def test_bad_input_is_refused_before_loading(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert message in refused(monkeypatch, capsys, *arguments, "--out", str(tmp_path / "out"))


def test_an_answer_is_written_where_the_console_lacks_its_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = StampPredictor.from_pretrained(TIED[1], device="cpu", dtype="float32")
    answer = stamp.predict_masks(PICTURE, "Segment the dog.", "狗 <|seg|>")
    monkeypatch.setattr(StampPredictor, "segment", lambda *_, **__: answer)
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    assert main(["segment", str(PICTURE), "Segment the dog.", *TIED, "--out", str(tmp_path / "out")]) == 0
    console.flush()
    assert console.buffer.getvalue().startswith(b"? <|seg|>")
    assert json.loads((tmp_path / "out" / "result.json").read_text())["response"] == "狗 <|seg|>"


def test_an_answer_that_cannot_be_written_is_printed(
    two_masks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_space(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("stamp.output.save_mask_png", no_space)
    assert main(["segment", str(PICTURE), "Segment the boat.", *TIED, "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert "Sure <|seg|> and <|seg|>" in captured.out
    assert captured.err.splitlines()[-1] == "error: No space left on device"


@pytest.mark.parametrize("limit", ["0", "-3", "nan", "soon"])
def test_an_answer_needs_time(limit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["segment", str(PICTURE), "Hi", *TIED, "--out", str(tmp_path / "out"), f"--max-seconds={limit}"])
    assert caught.value.code == 2
    assert f"an answer needs a number of seconds above 0, got '{limit}'" in capsys.readouterr().err


def test_an_answer_that_took_too_long_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", str(PICTURE), "Hi", *TIED, "--out", str(tmp_path), "--max-seconds", "1e-9"]) == 0
    assert "(stopped: the answer took longer than --max-seconds)" in capsys.readouterr().out
    assert json.loads((tmp_path / "result.json").read_text())["finish_reason"] == "time"


@pytest.mark.parametrize("budget", ["0", "-3", "many"])
def test_an_answer_needs_a_token(budget: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["segment", str(PICTURE), "Hi", *TIED, "--out", str(tmp_path / "out"), "--max-new-tokens", budget])
    assert caught.value.code == 2
    assert f"an answer needs at least 1 token, got '{budget}'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_ctrl_c_stops_an_answer_and_keeps_the_conversation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = iter(["Hello", "And now?", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    asked: list[int] = []
    stream = StampPredictor.stream

    def interrupted(self: StampPredictor, turns: list[Turn], *arguments: Any, **options: Any) -> Iterator[StreamEvent]:
        asked.append(len(turns))
        for event in stream(self, turns, *arguments, **options):
            yield event
            if len(asked) == 1:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(StampPredictor, "stream", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert main(["chat", str(PICTURE), *TIED, "--max-new-tokens", "50"]) == 0
    assert asked == [1, 3]  # the second question comes behind the first and what was answered to it
    assert "(stopped)" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StampPredictor, "load", interrupted)
    assert main(["chat", str(PICTURE), *TIED]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"


def test_chat_keeps_the_picture_across_turns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = iter(["Hello", "x" * 2001, "And now?", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    assert main(["chat", str(PICTURE), *TIED, "--max-new-tokens", "3"]) == 0
    captured = capsys.readouterr()
    assert "2,001 characters" in captured.err
    assert captured.out.count("\n") >= 3


def test_an_answer_that_was_stopped_before_its_first_word_is_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, asked = iter(["Hello", "And now?", ""]), list[list[str]]()
    monkeypatch.setattr("builtins.input", lambda _: next(lines))

    def stopped(_: StampPredictor, turns: list[Turn], *__: object) -> Segmentation:
        asked.append([turn.text for turn in turns])
        nothing = np.zeros((0, 120, 200), dtype=bool)
        return Segmentation("", "", (), nothing, [], [], {"total": 0.0}, 0, 1, "stopped")

    monkeypatch.setattr("stamp.__main__._print_answer", stopped)
    assert main(["chat", str(PICTURE), *TIED]) == 0
    assert asked == [["Hello"], ["And now?"]]


def test_chat_keeps_the_masks_of_an_earlier_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is the picture that this chat is about."""
    masks = np.ones((1, 120, 200), dtype=bool)
    written = Segmentation("Sure", "Sure", (1,), masks, [], [1.0], {"total": 0.0}, 1, 1, "end")
    picture = tmp_path / "turn_1" / "overlay.png"
    write_result(written, Image.open(PICTURE), picture.parent)
    before = picture.read_bytes()
    lines = iter(["Segment it", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    monkeypatch.setattr("stamp.__main__._print_answer", lambda *_: written)
    assert main(["chat", str(picture), "--out", str(tmp_path), *TIED]) == 0
    assert "error" not in capsys.readouterr().err
    assert picture.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["turn_1", "turn_2"]


def test_masks_that_come_after_the_text_are_printed_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    half = np.zeros((2, 4), dtype=bool)
    half[:, :2] = True
    done = Segmentation("x", "x", (1,), np.stack([half, half]), [], [1.0, 1.0], {"total": 0.0}, 1, 1, "end")
    words = ["Sure, the red hat: ", MaskComing(0), " and ", MaskComing(1), "."]
    late = [MaskReady(index, half, np.zeros((1, 1), np.float32), 1.0) for index in range(2)]
    events = [*(TextDelta(one) if isinstance(one, str) else one for one in words), *late, Done(done)]
    options = SimpleNamespace(refine="auto", max_seconds=None, max_new_tokens=9)
    predictor = SimpleNamespace(stream=lambda *_, **__: iter(events))
    assert _print_answer(predictor, [], options) is done  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert out.startswith("Sure, the red hat:  and . [red hat: 50% of the image] [mask 2: 50% of the image]")

"""The method whose masks share their mask tokens."""

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.checkpoints import MethodOptions
from benchmarks.methods import Method, load_methods
from benchmarks.methods.streaming import moments
from stamp.checkpoints.load_options import LoadOptions
from tests.benchmarks.nano import make_processor, write_backbone, write_shared

PICTURE = Image.effect_noise((96, 96), 60).convert("RGB")
ANSWER = "Sure, here are the segmentation masks for the apple: <|seg|> and the cat: <|seg|>"


def load(folder: Path, label: str = "stamp_shared") -> Method:
    options = MethodOptions(LoadOptions(device="cpu", dtype="float32"), checkpoints={"stamp_shared": str(folder)})
    (method,) = load_methods([label], options)
    return method


def write(patch: pytest.MonkeyPatch) -> None:
    """The next answer is this one."""
    processor = make_processor()
    tokens = iter([*processor.encode_response(ANSWER), processor.end_token_id])
    patch.setattr("stamp.inference.generation.choose_token", lambda *_, **__: next(tokens))


def test_it_streams_text_first_and_ends_as_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = load(write_shared(tmp_path / "shared"))
    assert (method.name, method.provenance()["model"]) == ("stamp_shared", "shared")
    write(monkeypatch)
    predicted = method.predict(PICTURE, "segment the apple and the cat")
    assert predicted.raw_output == ANSWER
    assert predicted.masks.shape == (2, 96, 96)
    write(monkeypatch)
    *before, last = moments(method, PICTURE, "segment the apple and the cat", lambda: False)
    assert last.prediction is not None
    assert (last.prediction.masks == predicted.masks).all()
    assert last.prediction.forward_passes == predicted.forward_passes  # one mask pass, streamed or not
    masks = [index for index, moment in enumerate(before) if moment.mask is not None]
    assert masks == [len(before) - 2, len(before) - 1]
    assert before[-1].text == ANSWER.replace("<|seg|>", "")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("stamp_shared", "plain has no shared mask head"),
        ("stamp_shared:none+released", "stamp_shared has no variant released"),
        ("stamp_shared:nf5", "stamp_shared has no variant 'nf5'"),
    ],
)
def test_what_it_refuses(tmp_path: Path, label: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(write_backbone(tmp_path / "plain"), label)


def test_without_its_checkpoint_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.checkpoints.ASSETS", tmp_path)
    with pytest.raises(ValueError, match="train it with `python -m benchmarks train --methods stamp_shared"):
        load_methods(["stamp_shared"], MethodOptions())

"""Around a method: whose turn it is, what is recorded of it, and what a failure leaves. No assertion on a time."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import MaskSample, Sample
from benchmarks.methods import Prediction, TalksOnly
from benchmarks.running import measuring
from benchmarks.running.judging import judge_unread
from benchmarks.running.measuring import record_key, run_samples
from benchmarks.running.memory import one_of_each_kind
from stamp.pictures.masks import decode_rle
from tests.benchmarks import tiny
from tests.benchmarks.scripted import PHASES_S, ScriptedMethod, answer


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Disc, absent boat, count, exists."""
    return list(open_dataset("scenes", ["known"], tiny.write_scenes(tmp_path, splits=("known",))).samples)


def test_methods_take_turns_within_each_kind(tmp_path: Path) -> None:
    samples = open_dataset("scenes", ["known"], tiny.write_scenes(tmp_path, 3, ("known",))).samples
    log: list[tuple[str, str]] = []
    methods = [ScriptedMethod(name=name, log=log) for name in "abc"]
    records = list(run_samples(methods, samples, warmups=2))
    for kind in ("segment", "segment_absent", "count", "exists"):
        assert [record.method for record in records if record.kind == kind] == list("abcbcacab")
    assert [record.order for record in records] == list(range(36))
    assert [record.sample for record in records] == [sample.id for sample in samples for _ in "abc"]
    warm, measured = log[:24], log[24:]
    assert sorted(warm) == sorted((name, f"{sample.prompt}!") for name in "aabbcc" for sample in samples[:4])
    assert measured == [(record.method, record.prompt) for record in records]


def test_a_sample_with_a_problem_is_an_error_and_warms_nothing_up(samples: list[Sample]) -> None:
    odd = replace(samples[0], id="odd", problem="b.json: 'shapes' must be list.")
    log: list[tuple[str, str]] = []
    method = ScriptedMethod(log=log)
    first, second = run_samples([method], [odd, samples[0]])
    assert (first.status, first.error, first.no_target) == ("error", "b.json: 'shapes' must be list.", False)
    assert second.status == "ok"
    assert len(log) == 2  # a warm-up and the answer, both to the second
    assert [picture for picture, _ in one_of_each_kind([odd, *samples], method)] == [one.image for one in samples]


class TalkingMethod(TalksOnly, ScriptedMethod):
    """A scripted method without masks."""


def test_a_method_that_only_talks_gets_questions_alone(tmp_path: Path) -> None:
    samples = open_dataset("scenes", ["known"], tiny.write_scenes(tmp_path, 2, ("known",))).samples
    log: list[tuple[str, str]] = []
    methods = [ScriptedMethod(name="a", log=log), TalkingMethod(name="t", log=log), ScriptedMethod(name="b", log=log)]
    records = list(run_samples(methods, samples))
    assert [record.method for record in records if record.kind == "segment"] == list("abba")  # turns among those asked
    assert [record.method for record in records if record.kind == "count"] == list("atbtba")
    assert {record.kind for record in records if record.method == "t"} == {"count", "exists"}
    assert not any(prompt.startswith(("segment", "Where")) for name, prompt in log if name == "t")
    assert list(run_samples(methods[1:2], samples[:2])) == []
    done = {record.key for record in records}
    log.clear()
    assert list(run_samples(methods, samples, done)) == []
    assert log == []


def test_what_is_done_is_left_out(samples: list[Sample]) -> None:
    log: list[tuple[str, str]] = []
    methods = [ScriptedMethod(name=name, log=log) for name in "ab"]
    everything = list(run_samples(methods, samples))
    log.clear()
    done = {record.key for record in everything[:5]}
    rest = list(run_samples(methods, samples, done))
    assert [(record.key, record.order) for record in rest] == [
        (record.key, record.order) for record in everything if record.key not in done
    ]
    assert {prompt for _, prompt in log} == {f"{sample.prompt}!" for sample in samples[2:]}  # warm-ups too
    assert len(log) == 2 * 2 + 3
    log.clear()
    samples[0].image.unlink()
    assert list(run_samples(methods, samples, {record.key for record in everything})) == []
    assert log == []


def test_the_window_is_the_answer_alone(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(measuring, "wait_for", lambda device: events.append(f"wait {device}"))

    def judge(*_: Any) -> Any:
        events.append("judge")
        return judge_unread(samples[0])

    monkeypatch.setattr(measuring, "judge", judge)
    monkeypatch.setattr(Image.Image, "load", _noted(Image.Image.load, events))

    def script(image: Image.Image, _: str) -> Prediction:
        events.append("predict")
        return answer()

    list(run_samples([ScriptedMethod(script)], samples[:1], warmups=1))
    measured = events[events.index("wait cpu") :]
    assert measured == ["wait cpu", "predict", "wait cpu", "judge"]


def _noted(load: Any, events: list[str]) -> Any:
    def wrapped(self: Image.Image, *arguments: Any) -> Any:
        events.append("load")
        return load(self, *arguments)

    return wrapped


def test_a_record_has_what_was_measured(samples: list[Sample]) -> None:
    disc = samples[0]
    assert isinstance(disc, MaskSample)
    truth = disc.truth().mask
    left, right = truth.copy(), truth.copy()
    left[:, 32:], right[:, :32] = False, False
    right[0, 0] = True  # one pixel off the disc
    method = ScriptedMethod(lambda *_: answer("two parts", np.stack([left, right])), variant="x")
    (record,) = run_samples([method], [disc])
    assert (record.dataset, record.split, record.sample, record.kind) == ("scenes", "known", disc.id, "segment")
    assert (record.image, record.prompt) == ("known-0000.png", "segment the circle!")
    assert (record.method, record.variant, record.precision, record.status) == ("scripted", "x", "float32", "ok")
    assert (record.text, record.raw_output) == ("two parts", "two parts<|seg|>")
    area = int(truth.sum())
    assert (record.intersection, record.union, record.predicted, record.no_target) == (area, area + 1, area + 1, False)
    assert (record.correct, record.error) == (None, None)
    for code, mask in zip(record.masks, (left, right), strict=True):
        np.testing.assert_array_equal(decode_rle(code), mask)
    assert (record.phases_s, record.new_tokens, record.forward_passes) == (PHASES_S, 9, 3)
    assert record.total_s is not None
    assert record.key == record_key(disc, method)


def test_ignored_pixels_do_not_count(tmp_path: Path) -> None:
    (sample, _) = open_dataset("reasonseg", ["val"], tiny.write_reasonseg(tmp_path)).samples
    assert isinstance(sample, MaskSample)
    truth = sample.truth()
    everything = np.ones((1, *tiny.SIZE_HW), dtype=bool)
    (record,) = run_samples([ScriptedMethod(lambda *_: answer(masks=everything))], [sample])
    assert truth.ignore is not None
    seen = everything.size - int(truth.ignore.sum())
    assert (record.intersection, record.union, record.predicted) == (int(truth.mask.sum()), seen, seen)


@pytest.mark.parametrize(
    ("text", "valid", "right"), [("There is one circle.", True, True), ("one", False, False), ("two", True, False)]
)
def test_a_question_is_right_or_wrong(samples: list[Sample], text: str, valid: bool, right: bool) -> None:
    (record,) = run_samples([ScriptedMethod(lambda *_: answer(text, valid=valid))], samples[2:3])
    assert (record.correct, record.no_target, record.union) == (right, None, None)
    assert record.status == ("ok" if valid else "invalid")


def test_an_unusable_output_predicts_nothing(samples: list[Sample]) -> None:
    everything = np.ones((1, *tiny.SIZE_HW), dtype=bool)
    method = ScriptedMethod(lambda *_: answer("[[1, 2", everything, valid=False))
    disc, absent = run_samples([method], samples[:2])
    assert isinstance(samples[0], MaskSample)
    assert (disc.status, disc.intersection, disc.union) == ("invalid", 0, int(samples[0].truth().mask.sum()))
    assert (absent.status, absent.union, absent.no_target, absent.raw_output) == ("invalid", 0, True, "[[1, 2<|seg|>")


def test_a_crash_is_one_error(samples: list[Sample]) -> None:
    def script(image: Image.Image, prompt: str) -> Prediction:
        if "circle" in prompt:
            raise MemoryError("out of memory")
        return answer("no boat")

    broken, fine = ScriptedMethod(script, "broken"), ScriptedMethod(name="fine")
    records = list(run_samples([broken, fine], samples))
    assert len(records) == 8
    failed = [record for record in records if record.status == "error"]
    assert [(record.method, record.sample) for record in failed] == [
        ("broken", samples[0].id),
        ("broken", samples[2].id),
    ]
    disc, count = failed
    assert isinstance(samples[0], MaskSample)
    assert disc.error == count.error == "MemoryError: out of memory"
    assert (disc.intersection, disc.union, disc.no_target) == (0, int(samples[0].truth().mask.sum()), False)
    assert (count.correct, count.total_s, count.new_tokens, count.masks) == (False, None, None, [])


@pytest.mark.parametrize(
    "masks", [np.zeros((1, 64, 48), bool), np.zeros((48, 64), bool), np.zeros((1, 48, 64), np.uint8)]
)
def test_masks_of_another_shape_are_an_error(samples: list[Sample], masks: np.ndarray) -> None:
    (record,) = run_samples([ScriptedMethod(lambda *_: answer(masks=masks))], samples[:1])
    assert record.status == "error"
    assert record.error is not None
    assert record.error.startswith("ValueError: scripted must give bool masks of shape (S, 48, 64), got ")


def test_a_corrupt_picture_is_an_error_of_every_method(samples: list[Sample]) -> None:
    samples[0].image.write_bytes(b"no picture")
    methods = [ScriptedMethod(name=name) for name in "ab"]
    records = list(run_samples(methods, samples))
    assert len(records) == 8
    assert {record.status for record in records} == {"error"}
    assert {record.error for record in records} == {
        "known-0000.png: This file is not an image that can be read. Use PNG, JPEG, WEBP, GIF, BMP, TIFF, AVIF or PPM."
    }
    assert [(record.no_target, record.correct) for record in records[::2]] == [
        (False, None),
        (True, None),
        (None, False),
        (None, False),
    ]
    assert all(record.union is None for record in records)


def test_an_annotation_of_another_size_is_an_error_that_keeps_the_answer(tmp_path: Path) -> None:
    tiny.write_scenes(tmp_path, splits=("known",))
    scene = json.loads((tmp_path / "scenes.jsonl").read_text())
    scene["width"], scene["expressions"][0]["rle"] = 32, tiny.box_rle(0, 0, 2, 2, (48, 32))
    (tmp_path / "scenes.jsonl").write_text(json.dumps(scene))
    sample = open_dataset("scenes", ["known"], tmp_path).samples[0]
    (record,) = run_samples([ScriptedMethod(lambda *_: answer("done"))], [sample])
    assert (record.status, record.text, record.union) == ("error", "done", None)
    assert record.error == (
        "known-0000.png: its annotation is for 48 x 32 pixels (height x width), the picture has 48 x 64."
    )

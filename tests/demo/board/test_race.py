"""The race: every method's record in order, a replay that says what was recorded, and an end when it is told to."""

import base64
import io
import json
import threading
import time
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pytest
from PIL import Image

import benchmarks.checkpoints
from benchmarks.checkpoints import MethodOptions
from benchmarks.methods import load_methods
from benchmarks.methods.stamp import load_stamp
from benchmarks.methods.streaming import Moment, moments
from demo.board.live import BUSY, NO_CHECKPOINT, NOT_LOADED, SAME, TURNED_OFF, MethodPool, Refused
from demo.board.names import NO_MASKS
from demo.board.race import FAILED, Began, Entry, Lane, RaceEvent, lane_note, mask_uri, race_events, replay, summary
from demo.board.race_panel import FIRST_EXAMPLE, NO_LANE, NO_METHODS, NO_PICTURE, left_out_html, race_order, run_race
from demo.chat.gallery import EXAMPLES, read_examples
from stamp.checkpoints.load_options import LoadOptions
from stamp.pictures.masks import decode_rle, intersection_over_union
from tests.benchmarks.scripted import ScriptedMethod
from tests.demo.racers import ScriptedPool, StreamingMethod, fails, racers

PICTURE = Image.new("RGB", (64, 48), "white")


def entry(*labels: str) -> Entry:
    return Entry(PICTURE, "segment the apple", labels)


def events_of(pool: ScriptedPool, *labels: str, stop: threading.Event | None = None) -> list[RaceEvent]:
    return [event for batch in race_events(pool, entry(*labels), stop or threading.Event()) for event in batch]


def pixels(uri: str) -> np.ndarray:
    """Opaque pixels of a data address, bool (H, W)."""
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA")
    return np.asarray(picture)[..., 3] > 0


def test_lanes_come_in_order_one_after_another() -> None:
    pool = ScriptedPool(racers())
    events = events_of(pool, "stamp", "polygon", "embedding")
    assert [(type(event), event.label) for event in events if not isinstance(event, Refused)] == [
        (kind, label) for label in ("stamp", "polygon", "embedding") for kind in (Began, Lane)
    ]


def test_moments_are_recorded_as_they_come() -> None:
    (_, lane) = events_of(ScriptedPool(racers(pause_s=0.01)), "stamp")
    assert isinstance(lane, Lane)
    assert [(moment.text, moment.mask is not None) for moment in lane.moments] == [
        ("It is ", False), ("It is ", True), ("It is .", False), ("It is <|seg|>.", False),
    ]  # fmt: skip
    times = [moment.at_s for moment in lane.moments]
    assert times == sorted(times)
    assert lane.total_s == times[-1]


def test_a_method_without_a_stream_says_all_at_the_end() -> None:
    method = ScriptedMethod()
    (only,) = moments(method, PICTURE, "segment", lambda: False)
    assert only.prediction is not None
    assert method.log == [("scripted", "segment")]


def test_the_replay_is_the_record() -> None:
    lanes = [event for event in events_of(ScriptedPool(racers()), *racers()) if isinstance(event, Lane)]
    record = replay(entry(*racers()), lanes)
    assert (record["width"], record["height"]) == PICTURE.size
    half = np.zeros((48, 64), dtype=bool)
    half[:, :32] = True
    by_label = {lane.label: shown for lane, shown in zip(lanes, record["lanes"], strict=True)}
    for lane, shown in zip(lanes, record["lanes"], strict=True):
        assert [at for at, _ in shown["written"]] == [moment.at_s for moment in lane.moments]
        assert (pixels(shown["masks"][0]["image"]) == half).all()
    assert by_label["stamp"]["masks"][0]["at_s"] == lanes[0].moments[1].at_s
    assert by_label["embedding"]["masks"][0]["at_s"] == lanes[3].total_s
    assert [vertex[1:] for vertex in by_label["polygon"]["vertices"]] == [
        [0, 0.0, 0.0], [0, 15 / 31, 0.0], [0, 15 / 31, 1.0], [0, 0.0, 1.0],
    ]  # fmt: skip
    assert [vertex[0] for vertex in by_label["polygon"]["vertices"]] == [m.at_s for m in lanes[1].moments[1:5]]
    assert [cell[1:] for cell in by_label["patch_text"]["cells"]] == [[row, c] for row in (0, 1) for c in range(8)]
    assert "One run each" in record["summary"]


def test_a_method_that_fails_or_is_missing_leaves_the_others_and_leaks_nothing() -> None:
    methods: dict[str, Any] = {"a": ScriptedMethod(fails), "b": ValueError("no /some/path"), **racers()}
    lanes = [event for event in events_of(ScriptedPool(methods), "a", "b", "stamp") if isinstance(event, Lane)]
    assert [lane.problem for lane in lanes] == [FAILED, NOT_LOADED, None]
    assert "/some/path" not in str(replay(entry("a"), lanes)["lanes"])


def test_stopping_ends_the_race_after_the_token_being_written() -> None:
    pool = ScriptedPool({"stamp": StreamingMethod("stamp", ["word "] * 500, pause_s=0.01), **racers()})
    pool.pooled["stamp"] = StreamingMethod("stamp", ["word "] * 500, pause_s=0.01)
    stop, found = threading.Event(), []
    for batch in race_events(pool, entry("stamp", "polygon"), stop):
        found += batch
        if any(isinstance(event, Began) for event in batch):
            time.sleep(0.1)
            stop.set()
    (lane,) = (event for event in found if isinstance(event, Lane))
    assert lane.is_stopped
    assert lane.prediction is not None
    assert 0 < lane.prediction.new_tokens < 500
    assert "stopped" in replay(entry("stamp"), [lane])["lanes"][0]["note"]


@pytest.mark.parametrize("method", ["embedding", "stamp"])
def test_a_whole_answer_is_not_called_stopped(method: str) -> None:
    """Stop comes while it is given: one method has no stream, the other is at its last word."""
    stop = threading.Event()
    whole = StreamingMethod("stamp", ["a"])

    def script(image: Image.Image, prompt: str) -> Any:
        stop.set()
        return whole.answer(image, ["a"])

    def stream(image: Image.Image, prompt: str, should_stop: Any) -> Any:
        assert not should_stop()
        yield script(image, prompt)

    racer = ScriptedMethod(script, method)
    if method == "stamp":
        racer.stream = stream  # type: ignore[attr-defined]
    lane = events_of(ScriptedPool({method: racer}), method, stop=stop)[-1]
    assert isinstance(lane, Lane)
    assert (lane.is_stopped, lane.is_cut, lane.is_finished) == (False, False, True)
    assert lane_note(lane, lane.prediction) == "1 mask · 1 tokens, 2 passes"


def test_one_run_at_a_time() -> None:
    pool = ScriptedPool(racers())
    with pool.turn() as mine:
        assert mine
        assert events_of(pool, "stamp") == [Refused(BUSY)]
    assert len(events_of(pool, "stamp")) == 2


def test_a_race_waits_for_the_answer_that_is_being_written() -> None:
    pool = ScriptedPool(racers())
    lock = pool.slot.get().lock
    lock.acquire()
    race = race_events(pool, entry("stamp"), threading.Event())
    assert [event for _ in range(3) for event in next(race)] == [Began("stamp", 0)]
    lock.release()
    assert any(isinstance(event, Lane) for batch in race for event in batch)


def test_the_summary_compares_with_the_first() -> None:
    def lane(label: str, at_s: float) -> Lane:
        return Lane(label, (Moment(at_s, "", prediction=StreamingMethod("x", []).answer(PICTURE, [])),))

    said = summary([lane("slow", 1.0), lane("quick", 0.25), Lane("none", problem=FAILED)])
    assert said.startswith("quick was first, after 250 ms; slow took 4 times as long.")
    assert said.endswith(" Not ranked: none (failed).")
    assert summary([]) == "No method finished."


def test_only_a_whole_and_usable_answer_can_win() -> None:
    def lane(label: str, at_s: float, *, valid: bool = True, **ended: Any) -> Lane:
        answer = replace(StreamingMethod("x", []).answer(PICTURE, []), valid=valid)
        return Lane(label, (Moment(at_s, "", prediction=answer),), **ended)

    lanes = [
        lane("polygon", 0.1, valid=False), lane("patch_text", 120.0, is_stopped=True, is_cut=True),
        lane("embedding", 0.2, is_stopped=True), lane("stamp", 3.0),
    ]  # fmt: skip
    assert summary(lanes) == (
        "STAMP was first, after 3 s. One run each, one after another, on this server. Not ranked: Polygon text "
        "(output could not be parsed); Patch text (cut off at the race's limit of 120 s); Embedding (stopped before "
        "the end)."
    )
    shown = replay(entry(), lanes)["lanes"]
    assert [one["is_finished"] for one in shown] == [False, False, False, True]
    assert shown[1]["note"].startswith("cut off at the race's limit of 120 s · ")


def test_who_finds_nothing_does_not_win_over_who_finds_something() -> None:
    def lane(label: str, at_s: float, *, finds: bool) -> Lane:
        answer = StreamingMethod("x", []).answer(PICTURE, [])
        masks = np.full((1, 4, 4), finds)
        return Lane(label, (Moment(at_s, "", prediction=replace(answer, masks=masks)),))

    some = [lane("patch_text", 0.1, finds=False), lane("stamp", 0.2, finds=True), lane("embedding", 0.4, finds=True)]
    said = summary(some)
    assert said.startswith("STAMP was first, after 200 ms; Embedding took 2 times as long.")
    assert said.endswith(" Not ranked: Patch text (no mask).")
    none = summary([lane("patch_text", 0.1, finds=False), lane("stamp", 0.2, finds=False)])  # a question, for example
    assert none.startswith("Patch text was first, after 100 ms; STAMP took 2 times as long.")
    assert "Not ranked" not in none


@pytest.mark.parametrize(
    ("path", "prompt", "labels", "words"),
    [
        (None, "segment", ["stamp"], NO_PICTURE),
        ("picture", "segment", [], NO_METHODS),
        ("picture", "segment", ["unknown"], NO_METHODS),
        ("picture", "  ", ["stamp"], "Type a request first"),
        ("text", "segment", ["stamp"], "not an image"),
    ],
)
def test_bad_input_is_told(tmp_path: Any, path: str | None, prompt: str, labels: list[str], words: str) -> None:
    PICTURE.save(tmp_path / "picture.png")
    (tmp_path / "text.png").write_text("text")
    given = None if path is None else str(tmp_path / f"{path}.png")
    (update,) = run_race(ScriptedPool(racers()), given, prompt, labels)
    assert words in unescape(update["race_status"])


def test_the_panel_runs_from_click_to_replay(tmp_path: Any) -> None:
    PICTURE.save(tmp_path / "picture.png")
    pool = ScriptedPool(racers())
    first, *_, last = run_race(pool, str(tmp_path / "picture.png"), "segment", ["stamp", "polygon"])
    assert first["race_halt"].visible is True
    assert [lane["label"] for lane in last["race"]["lanes"]] == ["STAMP", "Polygon text"]
    assert last["race_halt"].visible is False


def test_a_race_stopped_at_once_says_so(tmp_path: Any) -> None:
    PICTURE.save(tmp_path / "picture.png")
    pool = ScriptedPool(racers())
    pool.slot.get().lock.acquire()
    race = run_race(pool, str(tmp_path / "picture.png"), "segment", ["stamp"])
    next(race)["race_stop"].set()
    *_, last = race
    assert NO_LANE in unescape(last["race_status"])


def test_live_features_can_be_turned_off(tmp_path: Any) -> None:
    pool = ScriptedPool(racers(), is_on=False)
    assert pool.labels() == []
    (update,) = run_race(pool, "x", "segment", ["stamp"])
    assert TURNED_OFF.split()[0] in update["race_status"]


def test_the_race_offers_what_has_a_checkpoint_and_draws(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    pool = MethodPool(ScriptedPool({}).slot)
    monkeypatch.setattr(MethodPool, "refusal", lambda self: None)
    monkeypatch.setattr(benchmarks.checkpoints, "ASSETS", tmp_path)
    assert pool.labels() == ["stamp", "stamp:none", "stamp:nf4", "stamp:released"]
    assert pool.left_out() == {
        "stamp_nano": SAME, "stamp_shared": NO_CHECKPOINT, "polygon": NO_CHECKPOINT, "patch_text": NO_CHECKPOINT,
        "embedding": NO_CHECKPOINT, **NO_MASKS,
    }  # fmt: skip
    for name in ("nano-stamp", "nano-stamp-shared", "nano-polygon", "nano-backbone"):
        (tmp_path / name).mkdir()
    assert pool.labels()[:4] == ["stamp", "stamp_nano", "stamp_shared", "polygon"]
    assert "backbone" not in pool.labels()
    assert pool.left_out() == {"patch_text": NO_CHECKPOINT, "embedding": NO_CHECKPOINT, **NO_MASKS}
    said = unescape(left_out_html(pool))
    assert f"Patch text ({NO_CHECKPOINT})" in said
    assert "Backbone (it was never trained to draw masks)" in said


def test_a_mask_becomes_a_picture_of_its_pixels() -> None:
    mask = np.random.default_rng(0).random((17, 23)) < 0.5
    assert (pixels(mask_uri(mask, "#0a9b77")) == mask).all()


def test_stamp_streams_what_it_predicts() -> None:
    """With the embedded model: the pieces add up to the answer that `predict` gives."""
    from benchmarks.checkpoints import MethodOptions
    from demo.chat.gallery import EXAMPLES, read_examples
    from stamp.checkpoints.load_options import LoadOptions
    from stamp.pictures.images import load_image

    method = load_stamp("", MethodOptions(LoadOptions(device="cpu")))
    path, prompt = read_examples(EXAMPLES)[0]
    picture = load_image(path)
    expected = method.predict(picture, prompt)
    for _ in range(2):  # the second time nothing may come from the first
        *pieces, last = moments(method, picture, prompt, lambda: False)
        assert last.prediction is not None
        assert last.text == expected.raw_output
        assert last.prediction.forward_passes == expected.forward_passes
        assert (last.prediction.masks == expected.masks).all()
        assert [moment.mask is not None for moment in pieces].count(True) == len(expected.masks)
        assert "".join(pieces[-1].text) == expected.text
        assert last.prediction.phases_s["vision"] > 0


def test_the_race_begins_with_something_that_every_compared_method_can_draw() -> None:
    """On the shipped checkpoints: no lane is empty, unreadable or far off."""
    (path, prompt), *_ = race_order(read_examples(EXAMPLES))
    assert path.name == FIRST_EXAMPLE
    asked = {(one["image"], one["prompt"]): one for one in json.loads(EXAMPLES.read_text())}[path.name, prompt]
    names = ("stamp", "stamp_shared", "polygon", "patch_text", "embedding")
    methods = load_methods(names, MethodOptions(LoadOptions(device="cpu", dtype="float32"), max_new_tokens=256))
    with Image.open(path) as image:
        drawn = {name: one.predict(image, prompt) for name, one in zip(names, methods, strict=True)}
    truth = decode_rle(asked["mask"])
    ious = {name: intersection_over_union(np.any(one.masks, axis=0), truth) for name, one in drawn.items()}
    assert min(ious.values()) > 0.4, ious

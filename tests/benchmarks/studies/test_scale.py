"""`python -m benchmarks scale`: what each paradigm computes, files and arithmetic. No assertion on a time."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig

from benchmarks.__main__ import main
from benchmarks.baselines.embedding_decoder import EmbeddingDecoder
from benchmarks.studies.paradigms import Paradigm, all_mask, lm_head_inputs, polygon
from benchmarks.studies.scale import (
    ROWS_FILE,
    SUMMARY_FILE,
    Round,
    Row,
    ScaleConfig,
    paradigms,
    scale_table,
    summarise,
)
from benchmarks.studies.speed import PROMPT, picture
from stamp.conversation import Turn
from stamp.inference.answer import Answer
from stamp.predictor import StampPredictor

TOKENS = {"stamp": 0, "polygon": 7, "patch_text": 5, "patch_text_full": 9, "embedding": 0}
OPTIONS = ["--polygon-tokens", "7", "--patch-text-tokens", "5", "--full-text-tokens", "9", "--talk-tokens", "3"]
OPTIONS += ["--repeats", "2", "--side-px", "192", "--device", "cpu", "--dtype", "float32", "--clock", "cpu"]
CONFIG = ScaleConfig(polygon_tokens=7, patch_text_tokens=5, full_text_tokens=9, talk_tokens=3, side_px=192)


@pytest.fixture(scope="module")
def stamp() -> StampPredictor:
    return StampPredictor.from_pretrained(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scale") / "new"
    assert main(["scale", "--out", str(out), *OPTIONS]) == 0
    return out


def read_rows(folder: Path) -> list[Row]:
    return [Row(**json.loads(line)) for line in (folder / ROWS_FILE).read_text().splitlines()]


def test_rows(out: Path) -> None:
    rows = read_rows(out)
    names = list(TOKENS)
    assert [(row.repeat, row.method) for row in rows] == [
        (number, name) for number, first in ((-1, 4), (0, 0), (1, 1)) for name in [*names[first:], *names[:first]]
    ]
    for row in rows:
        written = min(TOKENS[row.method], 4) if row.warmup else TOKENS[row.method]
        assert (row.warmup, row.text_tokens, row.iou) == (row.repeat < 0, written, None)
        assert row.new_tokens == 3 + (written or 1)
        # the prompt, a pass for each token, and STAMP's one mask pass
        assert row.forward_passes == 1 + row.new_tokens + (row.method == "stamp")
        assert set(row.shared_s) == {"vision", "prefill"}
        assert set(row.own_s) == {"prefill", "decode", "mask", "refine", "other"}
        assert row.wall_s > 0
        counted = sum(row.shared_s.values()) + sum(row.own_s.values()) - row.own_s["prefill"]
        assert row.seconds["total"] == pytest.approx(counted)
        assert row.seconds["mask phase"] == pytest.approx(row.own_s["mask"] + row.own_s["refine"])
    for number in (-1, 0, 1):
        assert len({json.dumps(row.shared_s) for row in rows if row.repeat == number}) == 1


def test_summary_and_table(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads((out / SUMMARY_FILE).read_text())
    assert record["methods"] == summarise(read_rows(out))
    assert {name: one["text_tokens"] for name, one in record["methods"].items()} == TOKENS
    assert {one["iou"] for one in record["methods"].values()} == {None}
    where = record["provenance"]
    assert (where["model"], where["n"], where["dtype"]) == ("stamp-nano", 2, "float32")
    assert where["config"] == asdict(CONFIG) | {"repeats": 2, "clock": "cpu"}
    table = scale_table(record)
    assert table.splitlines()[2].startswith("| stamp | – | 6 | ")
    assert table.splitlines()[2].endswith(" | 1.00 | 1.00 |")
    assert "vision and prefill are measured once a round, for all methods" in table
    assert len((out / ROWS_FILE).read_text().splitlines()) == 15


def seconds(method: str, number: int, mask: float, decode: float = 1.0) -> Row:
    own = {"prefill": 100.0, "decode": decode, "mask": mask, "refine": 1.0, "other": 0.0}
    return Row(method, number, number < 0, {"vision": 5.0, "prefill": 3.0}, own, 9.0, 0, 4, 6)


def test_ratios_by_hand() -> None:
    stamp = [seconds("stamp", number, mask) for number, mask in ((-1, 900.0), (0, 1.0), (1, 3.0), (2, 2.0))]
    other = [seconds("polygon", number, mask) for number, mask in ((-1, 0.0), (0, 9.0), (1, 11.0), (2, 29.0))]
    summary = summarise([*other, *stamp])
    assert list(summary) == ["stamp", "polygon"]
    assert summary["stamp"]["median_s"] == {
        "vision": 5.0,
        "prefill": 3.0,
        "decode": 1.0,
        "mask": 2.0,
        "refine": 1.0,
        "other": 0.0,
        "mask phase": 3.0,
        "total": 12.0,
    }
    assert summary["stamp"]["times_stamp"]["total"] == {"median": 1.0, "least": 1.0, "most": 1.0}
    ratios = summary["polygon"]["times_stamp"]
    assert ratios["mask phase"] == {"median": 12 / 3, "least": 12 / 4, "most": 30 / 3}
    assert ratios["total"] == {"median": 21 / 12, "least": 21 / 13, "most": 39 / 12}


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: list[Any]) -> None:
    whole: Callable[..., Any] = getattr(owner, name)

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(given)
        return whole(*given, **named)

    monkeypatch.setattr(owner, name, counted)


def test_each_paradigm_does_its_own_work(stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    vision: list[Any] = []
    text: list[Any] = []
    masks: list[Any] = []
    count_calls(monkeypatch, stamp.model, "encode_images", vision)
    count_calls(monkeypatch, stamp.model, "text_pass", text)
    count_calls(monkeypatch, stamp.model, "mask_pass", masks)
    image = picture(192)
    current = Round(stamp, image, 3)
    prompt_tokens = text[0][0].shape[1]
    for way in paradigms(stamp, CONFIG):
        text.clear()
        masks.clear()
        row = current.measure(way, 0)
        # the last token of the prompt once more, then a pass for each token of the answer
        assert [given[0].shape[1] for given in text] == [1] * (1 + 3 + (TOKENS[way.name] or 1))
        assert len(masks) == (way.name == "stamp")
        assert (row.own_s["mask"] > 0, row.own_s["refine"] > 0) == (True, True)
    assert len(vision) == 1
    assert prompt_tokens > 144


def test_the_shared_prompt_changes_no_mask(stamp: StampPredictor) -> None:
    """STAMP's mask behind a shared prefill, after other methods wrote on it, is that of an answer from nothing."""
    image = picture(192)
    current = Round(stamp, image, 3)
    ways = {way.name: way for way in paradigms(stamp, CONFIG)}
    seen: list[Answer] = []

    def noted(answer: Answer, hidden: torch.Tensor) -> Any:
        seen.append(answer)
        return all_mask(answer, hidden)

    spy = Paradigm("stamp", 0, noted)
    current.measure(ways["polygon"], 0)
    current.measure(spy, 0)
    fresh = stamp.begin([Turn("user", PROMPT, image)])
    fresh.force([*current.talk, stamp.processor.seg_token_id])
    (expected,) = fresh.predict_masks()
    assert seen[0].token_ids == fresh.token_ids
    np.testing.assert_allclose(seen[0].masks[0].logits, expected.logits, atol=1e-4)


def test_the_hidden_state_is_the_one_that_chose_the_token(stamp: StampPredictor) -> None:
    answer = stamp.begin([Turn("user", PROMPT, picture(192))])
    ids = stamp.processor.encode_response("Sure, here is")
    with lm_head_inputs(answer) as hidden, torch.inference_mode():
        for token_id in ids:
            answer.state.push(token_id)
            logits = answer.state.next_logits()
            torch.testing.assert_close(stamp.model.lm_head(hidden[-1]), logits)


@torch.inference_mode()
def test_the_decoder_has_the_published_size() -> None:
    torch.manual_seed(0)
    decoder = EmbeddingDecoder(64, SamMaskDecoderConfig()).eval()
    assert sum(parameter.numel() for parameter in decoder.decoder.parameters()) == 4_058_340  # SAM's, of any backbone
    first, second = decoder(torch.randn(2, 64), torch.randn(1, 6 * 4, 64).expand(2, -1, -1), (6, 4))
    assert first.shape == (24, 16)
    assert first.isfinite().all()
    assert not torch.equal(first, second)


def test_a_polygon_is_filled(stamp: StampPredictor) -> None:
    answer = stamp.begin([Turn("user", PROMPT, picture(192))])
    mask = polygon(18)(answer, torch.zeros(1))
    assert mask.shape == (192, 192)
    assert mask.dtype == np.bool_
    area = 0.5 * 18 * np.sin(2 * np.pi / 18) * (0.3 * 192) ** 2
    assert abs(mask.sum() - area) / area < 0.03


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repeats", "0"], "repeats must be at least 1, got 0"),
        (["--polygon-tokens", "0"], "polygon_tokens must be at least 1, got 0"),
        (["--model", "no/such/folder/here"], "no/such/folder/here"),
    ],
)
def test_bad_input_is_one_sentence(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", "--out", str(tmp_path / "out"), *options]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "out").exists()

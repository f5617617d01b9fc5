"""`python -m benchmarks speed`: files, fields and arithmetic. No assertion on a time."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.methods.teacher_forcing import segment_forced
from benchmarks.studies.speed import (
    ROWS_FILE,
    SUMMARY_FILE,
    Case,
    Row,
    SpeedConfig,
    load_timed,
    measure,
    picture,
    speed_cases,
    summarise,
)
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.provenance import git
from stamp.conversation import Segmentation
from stamp.predictor import StampPredictor

PHASES = {"vision", "prefill", "decode", "mask", "refine", "other", "total"}
PARTS = {"mask_vision", "mask_cache_copy", "mask_embed", "mask_pass"}
OPTIONS = [
    "--masks",
    "3",
    "--repeats",
    "1",
    "--device",
    "cpu",
    "--dtype",
    "float32",
    "--side-px",
    "192",
    "--clock",
    "cpu",
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("speed") / "new"
    assert main(["speed", "--out", str(out), *OPTIONS]) == 0
    return out


def read_rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / ROWS_FILE).read_text().splitlines()]


def test_rows(out: Path) -> None:
    rows = read_rows(out)
    order = [(row["case"], row["method"], row["warmup"]) for row in rows]
    cases = {"one_mask": ("ours", "released"), "many_masks": ("ours", "released"), "follow_up": ("cached", "fresh")}
    cases["drafts"] = ("drafted", "token by token")
    assert order == [  # methods take turns; many masks warm up nothing that one mask does not
        (case, method, warmup)
        for warmup, turn in ((True, 1), (False, -1))
        for case, methods in cases.items()
        for method in methods[::turn]
        if not (warmup and case == "many_masks")
    ]
    for row in rows:
        ours = row["method"] != "released"
        assert set(row["seconds"]) == (PHASES if ours else PHASES | PARTS)
        assert row["repeat"] == (-1 if row["warmup"] else 0)
        assert row["wall_s"] > 0
        assert row["masks"] == (3 if row["case"] == "many_masks" else 1)
        passes = 1 if ours else row["masks"]
        if row["method"] == "drafted":
            assert 3 < row["forward_passes"] < 1 + row["new_tokens"] + passes
        else:
            assert row["forward_passes"] == 1 + row["new_tokens"] + passes
        is_first = row["method"] in ("ours", "cached", "drafted")
        assert row["max_logit_difference"] is None if is_first else row["max_logit_difference"] < 1e-4
        if row["method"] == "cached" and not row["warmup"]:
            assert row["seconds"]["vision"] == 0
        claimed = sum(row["seconds"][phase] for phase in PHASES - {"total"})
        assert claimed == pytest.approx(row["seconds"]["total"])
    assert [row["new_tokens"] for row in rows if row["case"] == "one_mask"] == [12] * 4


def test_summary(out: Path) -> None:
    record = json.loads((out / SUMMARY_FILE).read_text())
    where = record["provenance"]
    assert (where["model"], where["n"], where["mask_tokens"], where["grid_hw"]) == ("stamp-nano", 1, 225, [15, 15])
    assert (where["dtype"], where["device"], where["parameters"]) == ("float32", "cpu", 8_488_209)
    assert where["config"] == {"masks": 3, "repeats": 1, "warmups": 1, "side_px": 192, "clock": "cpu"}
    assert {"hardware", "threads", "commit", "uncommitted_changes", "date", "python", "torch"} <= set(where)
    measured = {(row["case"], row["method"]): row["seconds"] for row in read_rows(out) if not row["warmup"]}
    assert set(record["cases"]) == {"one_mask", "many_masks", "follow_up", "drafts"}
    follow_up, first = measured["follow_up", "cached"]["total"], measured["one_mask", "ours"]["total"]
    assert record["follow_up_over_first"] == pytest.approx(follow_up / first)
    for name, compared in (("one_mask", "total"), ("many_masks", "mask")):
        case = record["cases"][name]
        ours, released = measured[name, "ours"], measured[name, "released"]
        assert case["median_s"] == {"ours": ours, "released": released}
        assert case["compared"] == compared
        assert case["compared_ratio"]["released"] == pytest.approx(released[compared] / ours[compared])
        assert set(case["ratio_to_ours"]["released"]) == PHASES - {"other"}


def test_medians_and_ratios_by_hand() -> None:
    case = Case("many_masks", "mask", (1, 2))
    seconds = {
        "ours": [(9.0, 90.0), (1.0, 10.0), (3.0, 30.0), (2.0, 20.0)],
        "released": [(99.0, 1.0)] + [(6.0, 50.0)] * 3,
    }
    rows = [
        Row(case.name, method, repeat, repeat == 0, {"mask": mask, "total": total}, total, 2, 1, 4, difference)
        for method, difference in (("ours", None), ("released", 0.25))
        for repeat, (mask, total) in enumerate(seconds[method])
    ]
    summary = summarise(rows, [case])["many_masks"]
    assert summary["median_s"] == {"ours": {"mask": 2.0, "total": 20.0}, "released": {"mask": 6.0, "total": 50.0}}
    assert summary["compared_ratio"] == {"released": 3.0}
    assert summary["ratio_to_ours"] == {"released": {"mask": 3.0, "total": 2.5}}
    assert summary["max_logit_difference"] == 0.25


def test_answers_and_picture() -> None:
    predictor = StampPredictor.from_pretrained(device="cpu", dtype="float32")
    one, many, *_ = speed_cases(predictor.processor, SpeedConfig(masks=8))
    seg = predictor.processor.seg_token_id
    assert (len(one.answer), one.answer.count(seg), one.answer[-1]) == (12, 1, seg)
    assert many.answer.count(seg) == 8
    assert predictor.processor.decode(one.answer).startswith("Sure, here is the")
    assert picture(8).size == (8, 8)
    assert picture(8).tobytes() == picture(8).tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repeats", "0"], "repeats must be at least 1, got 0"),
        (["--masks", "0"], "masks must be at least 1, got 0"),
        (["--warmups", "0"], "warmups must be at least 1, got 0"),
        (["--model", "no/such/folder/here"], "no/such/folder/here"),
    ],
)
def test_bad_input_is_one_sentence(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["speed", "--out", str(tmp_path / "out"), *options]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "out").exists()


def test_processor_time_leaves_waiting_out() -> None:
    """A method that sleeps takes no processor time, whatever it takes on the wall."""

    def slowly(*given: Any) -> Segmentation:
        time.sleep(0.5)
        return segment_forced(*given)

    for clock in ("wall", "cpu"):
        predictor = load_timed(LoadOptions(device="cpu", dtype="float32"), clock)
        slow = replace(speed_cases(predictor.processor, SpeedConfig())[0], methods={"ours": slowly})
        run = measure(predictor, picture(96), slow, "ours")
        assert run.wall_s > 0.5
        assert (run.seconds["other"] > 0.5) == (clock == "wall")


def test_processor_time_of_a_gpu_is_refused_before_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(ValueError, match="cannot time cuda"):
        load_timed(LoadOptions("no/such/folder"), "cpu")


def test_unknown_is_none() -> None:
    assert git("no-such-command") is None

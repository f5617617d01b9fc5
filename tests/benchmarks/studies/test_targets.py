"""`python -m benchmarks targets`: what is run, files and arithmetic. No assertion on a time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.studies.speed import picture
from benchmarks.studies.targets import (
    HEADS,
    ROWS_FILE,
    SUMMARY_FILE,
    Row,
    TargetsConfig,
    Timer,
    answer_ids,
    summarise,
    targets_table,
)
from stamp.predictor import StampPredictor

TIED = Path(__file__).parents[2] / "parity" / "models" / "tied"
OPTIONS = ["--model", str(TIED), "--device", "cpu", "--dtype", "float32", "--side-px", "112", "--clock", "cpu"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("targets") / "new"
    assert main(["targets", "--out", str(out), "--targets", "1", "3", "--repeats", "2", *OPTIONS]) == 0
    return out


def read_rows(folder: Path) -> list[Row]:
    return [Row(**json.loads(line)) for line in (folder / ROWS_FILE).read_text().splitlines()]


def test_rows(out: Path) -> None:
    rows = read_rows(out)
    assert [(row.repeat, row.targets, row.head) for row in rows] == [
        *[(-1, 1, head) for head in reversed(HEADS)],
        *[(0, count, head) for count in (1, 3) for head in HEADS],
        *[(1, count, head) for count in (3, 1) for head in reversed(HEADS)],
    ]
    assert all(row.mask_s > 0 and row.passes == 1 and row.warmup == (row.repeat < 0) for row in rows)


def test_record_and_table(out: Path) -> None:
    record = json.loads((out / SUMMARY_FILE).read_text())
    assert record["targets"] == summarise(read_rows(out))
    where = record["provenance"]
    assert (where["model"], where["n"], where["mask_tokens"], where["text_layers"]) == ("tied", 2, 16, 4)
    assert where["shared_head"] == "untrained"
    assert where["config"] == {"targets": [1, 3], "repeats": 2, "warmups": 1, "side_px": 112, "clock": "cpu"}
    table = targets_table(record)
    assert len(table.splitlines()) == 6
    assert table.splitlines()[0] == (
        "| targets | one set per target, s | times 1 target | one set for all, s | times 1 target "
        "| per target over for all |"
    )
    assert "Mask phase of tied (4 text layers), 16 mask tokens, float32" in table


def test_heads_differ_in_what_goes_through_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five targets: 5 P mask tokens in passes of at most 64, against P mask tokens and the five <|seg|> in one."""
    stamp = StampPredictor.from_pretrained(TIED, device="cpu", dtype="float32")
    timer = Timer(stamp, picture(112))
    n_tokens = len(timer.image.embeds)
    monkeypatch.setattr("stamp.inference.answer.MAX_MASK_TOKENS_PER_PASS", 3 * n_tokens)
    given: list[tuple[int, ...]] = []
    run_text: Callable[..., torch.Tensor] = stamp.model._run_text

    def noted(embeds: torch.Tensor, *rest: Any) -> torch.Tensor:
        given.append(tuple(embeds.shape[:2]))
        return run_text(embeds, *rest)

    monkeypatch.setattr(stamp.model, "_run_text", noted)
    rows = list(timer.measure(5, HEADS, 0))
    assert [row.passes for row in rows] == [2, 1]
    assert given[-3:] == [(3, n_tokens), (2, n_tokens), (1, 5 + n_tokens)]
    assert given[-4] == (1, len(answer_ids(stamp, 5)))
    again = list(timer.measure(1, HEADS, 0))
    assert [(row.targets, row.passes) for row in again] == [(1, 1), (1, 1)]


def test_for_one_target_an_untrained_head_gives_the_same_mask() -> None:
    stamp = StampPredictor.from_pretrained(TIED, device="cpu", dtype="float32")
    timer = Timer(stamp, picture(112))
    answer = stamp.begin(timer.turns, "none", timer.memory)
    answer.force(answer_ids(stamp, 1))
    logits = []
    for head in HEADS:
        stamp.model.config.mask_head = head
        answer.masks.clear()
        logits.append(answer.predict_masks()[0].logits)
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-4)


def test_ratios_by_hand() -> None:
    seconds = {("classifier", 1): (1.0, 2.0, 3.0), ("classifier", 8): (8.0, 12.0, 40.0)}
    seconds |= {("shared", 1): (2.0, 2.0, 4.0), ("shared", 8): (2.0, 3.0, 5.0)}
    rows = [
        Row(head, targets, repeat, False, value, 3 if (head, targets) == ("classifier", 8) else 1)  # type: ignore[arg-type]
        for (head, targets), values in seconds.items()
        for repeat, value in enumerate(values)
    ]
    rows.append(Row("shared", 1, -1, True, 900.0, 1))
    summary = summarise(rows)
    assert list(summary) == ["1", "8"]
    assert summary["8"]["median_s"] == {"classifier": 12.0, "shared": 3.0}
    assert summary["8"]["passes"] == {"classifier": 3, "shared": 1}
    assert summary["8"]["times_1"]["classifier"] == {"median": 6.0, "least": 6.0, "most": 40 / 3}
    assert summary["8"]["times_1"]["shared"] == {"median": 1.5, "least": 1.0, "most": 1.5}
    assert summary["8"]["separate_over_shared"] == {"median": 4.0, "least": 4.0, "most": 8.0}
    assert summary["1"]["times_1"]["shared"] == {"median": 1.0, "least": 1.0, "most": 1.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--targets", "0"], "targets must be distinct and at least 1, got (0,)"),
        (["--targets", "2", "2"], "targets must be distinct"),
        (["--repeats", "0"], "repeats must be at least 1, got 0"),
    ],
)
def test_bad_input_is_one_sentence(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["targets", "--out", str(tmp_path / "out"), *OPTIONS, *options]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "out").exists()


def test_defaults_of_the_command_are_those_of_the_study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[TargetsConfig] = []
    monkeypatch.setattr("benchmarks.studies.targets.run_targets", lambda _load, _out, config: given.append(config))
    monkeypatch.setattr("benchmarks.studies.targets.targets_table", lambda _: "")
    assert main(["targets", "--out", str(tmp_path)]) == 0
    assert given == [TargetsConfig()]

"""`python -m benchmarks vision`: files, fields and the table. No assertion on a time."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.studies import other_load, vision
from benchmarks.studies.vision import ROWS_FILE, SUMMARY_FILE, vision_table
from stamp.checkpoints import quantization
from tests.model.test_parity import PARITY

OPTIONS = ["--model", str(PARITY / "models" / "tied"), "--device", "cpu", "--dtype", "float32", "--side-px", "112"]
OPTIONS += ["--vision", "int8"]  # must not leave the full tower in int8, too


@pytest.fixture(autouse=True)
def fast_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "has_fast_int8", lambda: True)
    monkeypatch.setattr(other_load, "WINDOW_S", 0.01)


def measured(out: Path) -> dict[str, Any]:
    assert main(["vision", "--repeats", "1", *OPTIONS, "--out", str(out)]) == 0
    record: dict[str, Any] = json.loads((out / SUMMARY_FILE).read_text())
    return record


def test_idle_and_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "MOST_WHEN_IDLE", 2.0)
    record = measured(tmp_path)
    assert list(record["cases"]) == ["idle, whole", "idle, quarter", "busy, whole", "busy, quarter"]
    rows = [json.loads(line) for line in (tmp_path / ROWS_FILE).read_text().splitlines()]
    for name, case in record["cases"].items():
        assert (case["masks"], case["new_tokens"]) == (1, 12)
        of_case = {row["method"]: row for row in rows if row["case"] == name and not row["warmup"]}
        assert case["compared_ratio"]["full"] == pytest.approx(
            of_case["full"]["seconds"]["total"] / of_case["int8"]["seconds"]["total"]
        )
        assert 0 < case["max_logit_difference"] < 1  # another tower, the same picture
    lines = vision_table(record).splitlines()
    assert len(lines) == 2 + 8 + 2
    assert lines[2].startswith("| idle, whole | int8 |")
    assert re.search(r"tied in float32, wall seconds, (1 thread|\d+ threads), ", lines[-1])


def test_on_a_busy_machine_nothing_is_called_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "MOST_WHEN_IDLE", -1.0)
    assert list(measured(tmp_path)["cases"]) == ["busy, whole", "busy, quarter"]

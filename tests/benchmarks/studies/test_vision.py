"""`python -m benchmarks vision`: files, fields and the table. No assertion on a time."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from benchmarks.__main__ import main
from benchmarks.studies import other_load, vision
from benchmarks.studies.vision import ROWS_FILE, SUMMARY_FILE, vision_table
from stamp.checkpoints import quantization
from stamp.model import int8_text
from stamp.model.int8_text import scaled_product, speed_up_bitsandbytes
from tests.model.test_parity import PARITY

OPTIONS = ["--model", str(PARITY / "models" / "tied"), "--device", "cpu", "--dtype", "float32", "--side-px", "112"]
OPTIONS += ["--vision", "int8"]  # must not leave the full tower in int8, too


@pytest.fixture(autouse=True)
def fast_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "has_fast_int8", lambda: True)
    monkeypatch.setattr(other_load, "WINDOW_S", 0.01)


def measured(out: Path, *more: str) -> dict[str, Any]:
    assert main(["vision", "--repeats", "1", *OPTIONS, *more, "--out", str(out)]) == 0
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
    assert lines[3].startswith("| idle, whole | full |")
    assert lines[3].endswith(f"| {record['cases']['idle, whole']['compared_ratio']['full']:.2f} |")
    assert re.search(r"tied in float32, wall seconds, (1 thread|\d+ threads), ", lines[-1])


def test_on_a_busy_machine_nothing_is_called_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "MOST_WHEN_IDLE", -1.0)
    assert list(measured(tmp_path)["cases"]) == ["busy, whole", "busy, quarter"]


def test_a_text_model_in_int8_is_also_measured_with_bitsandbytes_own_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    products: list[Any] = []
    seen: list[tuple[bool, bool]] = []
    segment = vision.segment_with

    def counted(*args: Any, **options: Any) -> Tensor:
        products.append(args)
        return scaled_product(*args, **options)

    def watched(*args: Any) -> Any:
        before = len(products)
        result = segment(*args)
        seen.append((speed_up_bitsandbytes.cache_info().currsize == 1, len(products) > before))
        return result

    monkeypatch.setattr(int8_text, "scaled_product", counted)
    monkeypatch.setattr(vision, "segment_with", watched)
    monkeypatch.setattr(vision, "MOST_WHEN_IDLE", -1.0)
    speed_up_bitsandbytes.cache_clear()
    cases = measured(tmp_path, "--quantization", "int8")["cases"]
    speed_up_bitsandbytes.cache_clear()
    assert [list(case["median_s"]) for case in cases.values()] == [["int8", "full", "bitsandbytes"]] * 2
    assert Counter(seen) == {(True, True): 6, (False, False): 3}  # a warm-up, and two measurements

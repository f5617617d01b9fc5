"""The measurement of threads: real processes with the settings asked for. No assertion on a time."""

import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.__main__ import main
from benchmarks.studies import threads
from benchmarks.studies.other_load import BUSY
from benchmarks.studies.threads import Setting, ThreadsConfig, threads_table

MODEL = Path(__file__).parents[2] / "parity" / "models" / "tied"
SMALL = ["--model", str(MODEL), "--device", "cpu", "--dtype", "float32", "--repeats", "2", "--warmups", "1"]


def test_settings_take_turns_idle_and_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda _: 0.0)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    out = tmp_path / "new" / "threads.json"
    assert main(["threads", "--out", str(out), "--threads", "1", "--side-px", "112", *SMALL]) == 0
    record = json.loads(out.read_text())
    assert [(row["policy"], row["threads"]) for row in record["rows"]] == [("PASSIVE", 1), (None, 1)]
    assert all(
        len(row[column]) == 2 and min(row[column]) > 0 for row in record["rows"] for column in ("idle_s", "busy_s")
    )
    assert record["provenance"]["config"] == {"threads": [1], "busy": 1, "repeats": 2, "warmups": 1, "side_px": 112}
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert threads_table(record) in capsys.readouterr().out
    assert not [child for child in psutil.Process().children() if BUSY in child.cmdline()]


def test_a_machine_at_work_has_no_idle_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda _: 62.0)
    asked: list[str] = []

    def rounds(workers: list[Any], config: ThreadsConfig, name: str) -> list[list[float]]:
        asked.append(name)
        return [[float(number + 1)] for number, _ in enumerate(workers)]

    class Worker:
        def __init__(self, *arguments: object) -> None:
            self.setting = arguments[0]

        def __enter__(self) -> "Worker":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def recv(self) -> dict[str, str]:
            return {"hardware": "2 CPU cores", "dtype": "float32", "date": "2026-01-02", "commit": "abc"}

    monkeypatch.setattr(threads, "_rounds", rounds)
    monkeypatch.setattr(threads, "_worker", Worker)
    record = threads.run_threads(None, ThreadsConfig((1, 2), repeats=1), tmp_path / "threads.json")  # type: ignore[arg-type]
    assert asked == ["busy"]
    assert [row["idle_s"] for row in record["rows"]] == [None] * 4
    assert threads_table(record).splitlines() == [
        "| how threads wait | threads | idle | beside 1 busy |",
        "|---|---:|---:|---:|",
        "| asleep (PASSIVE) | 1 | null | 1 s (1.0) |",
        "| asleep (PASSIVE) | 2 | null | 2 s (2.0) |",
        "| spinning (libgomp's own) | 1 | null | 3 s (3.0) |",
        "| spinning (libgomp's own) | 2 | null | 4 s (4.0) |",
        "",
        "2 CPU cores; n = 1, float32, 2026-01-02, commit abc. Measured beside a busy process: 62% of the machine was "
        "in use before, so all seconds are pessimistic.",
    ]


def test_a_model_that_cannot_be_loaded(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = ["--model", str(tmp_path), "--device", "cpu", "--threads", "1"]
    assert main(["threads", "--out", str(tmp_path / "threads.json"), *missing]) == 2
    assert "error: The model could not be loaded; see the error above." in capfd.readouterr().err
    assert not (tmp_path / "threads.json").exists()


def test_what_cannot_be_measured() -> None:
    assert ThreadsConfig((1, 2)).settings() == [
        Setting(policy, number) for policy in ("PASSIVE", None) for number in (1, 2)
    ]
    cases: list[dict[str, Any]] = [{"threads": ()}, {"threads": (0,)}, {"busy": 0}, {"repeats": 0}, {"side_px": 0}]
    for wrong in cases:
        with pytest.raises(ValueError, match="must (all )?be"):
            ThreadsConfig(**({"threads": (1,)} | wrong))

"""`python -m benchmarks footprint`: rows and table. No assertion on an amount but what must hold."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.studies.footprint import COLUMNS, Footprint, footprint_table, read_footprints

ROOT = Path(__file__).parents[3]


def test_a_row_of_the_nano_is_appended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "footprints.jsonl"
    for _ in range(2):
        assert main(["footprint", "--out", str(out), "--device", "cpu", "--side-px", "192", "--clock", "cpu"]) == 0
    rows = read_footprints(out)
    assert len(rows) == 2
    for row in rows:
        assert (row.new_tokens, row.mask_tokens, row.clock) == (12, 225, "cpu")
        assert (row.provenance["model"], row.provenance["device"]) == ("stamp-nano", "cpu")
        assert 0 < row.resident_bytes <= row.load_peak_bytes <= row.peak_bytes
        assert row.seconds["total"] >= sum(row.seconds[phase] for phase in ("vision", "prefill", "decode", "mask"))
    assert capsys.readouterr().out.strip().endswith(footprint_table(rows))


def test_table() -> None:
    where = {"hardware": "a box", "threads": 2, "date": "2026-01-02", "commit": "abc"}
    where |= {"dtype": "bfloat16", "quantization": "none", "model": "2b"}
    seconds = {"vision": 30.0, "prefill": 5.0, "decode": 2.4, "mask": 7.0, "refine": 0.1, "other": 0.0, "total": 44.5}
    row = Footprint(20.0, 5 * 10**9, 45 * 10**8, 6 * 10**9, seconds, 12, 1024, where, "wall")
    quantized = Footprint(
        9.0,
        10**9,
        10**9,
        2 * 10**9,
        seconds,
        12,
        1024,
        {**where, "model": "2b", "quantization": "nf4", "threads": 1},
        "cpu",
    )
    lines = footprint_table([row, quantized]).splitlines()
    assert lines[0] == f"| {' | '.join(COLUMNS)} |"
    assert lines[2] == "| 2b | bfloat16 | 20 | 4.5 | 6 | 30 | 5 | 0.2 | 7 | 44.5 | wall, 2 threads |"
    assert lines[3] == "| 2b | nf4 | 9 | 1 | 2 | 30 | 5 | 0.2 | 7 | 44.5 | cpu, 1 thread |"
    assert lines[4:] == [
        "",
        "a box, 12 tokens and one mask of 1024 mask tokens, one cold run each; 2026-01-02, commit abc.",
    ]


def test_the_peak_is_of_this_process_alone() -> None:
    """What the kernel counts as a process's largest size is handed down from the one that started it."""
    large = np.ones(400_000_000, dtype=np.uint8)
    code = "import torch; from benchmarks.instruments import *; device = torch.device('cpu')\n"
    code += "print(resident_bytes(device), peak_bytes(device))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    resident, peak = map(int, done.stdout.split())
    assert resident <= peak < resident + large.nbytes // 2


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["footprint", "--model", str(tmp_path / "none"), "--out", str(tmp_path / "f.jsonl")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "f.jsonl").exists()

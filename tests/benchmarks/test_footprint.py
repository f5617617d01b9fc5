"""`python -m benchmarks footprint`: rows and table. No assertion on an amount but what must hold."""

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.footprint import COLUMNS, Footprint, footprint_table, read_footprints


def test_a_row_of_the_nano_is_appended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "footprints.jsonl"
    for _ in range(2):
        assert main(["footprint", "--out", str(out), "--device", "cpu", "--side-px", "192", "--clock", "cpu"]) == 0
    rows = read_footprints(out)
    assert len(rows) == 2
    for row in rows:
        assert (row.new_tokens, row.mask_tokens, row.clock) == (12, 144, "cpu")
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


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["footprint", "--model", str(tmp_path / "none"), "--out", str(tmp_path / "f.jsonl")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "f.jsonl").exists()

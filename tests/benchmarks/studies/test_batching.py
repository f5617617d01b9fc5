"""`python -m benchmarks batching`: a batch computes what turns compute; files and arithmetic. Nothing about time."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.studies.batching import ROWS_FILE, SUMMARY_FILE, Row, answer_gains, batching_table, summarise

TIED = Path(__file__).parents[2] / "parity" / "models" / "tied"
OPTIONS = ["--model", str(TIED), "--device", "cpu", "--dtype", "float32", "--side-px", "112", "--answers", "2"]


def test_a_batch_computes_what_turns_compute(tmp_path: Path) -> None:
    assert main(["batching", "--conversations", "1", "3", "--repeats", "2", *OPTIONS, "--out", str(tmp_path)]) == 0
    rows = [Row(**json.loads(line)) for line in (tmp_path / ROWS_FILE).read_text().splitlines()]
    kinds = ("vision", "prompt", "prompt and mask", "word")
    assert [(row.repeat, row.conversations, row.kind) for row in rows] == [
        (repeat, size, kind) for repeat in (-2, -1, 0, 1) for size in (1, 3) for kind in kinds
    ]
    assert max(row.max_difference for row in rows) < 1e-4
    record = json.loads((tmp_path / SUMMARY_FILE).read_text())
    assert record["passes"] == summarise(rows)
    assert record["answer_gains"] == answer_gains(record["passes"], record["usual_answer"])
    assert record["usual_answer"]["n"] == 2
    assert record["provenance"]["mask_tokens"] == 16
    table = batching_table(record).splitlines()
    assert len(table) == 2 + 4 * 2 + 4
    assert table[11].startswith("A usual answer (2 requests for a mask) has ")
    assert table[2].startswith("| vision | 1 | ")
    assert "16 mask tokens, float32" in table[-1]


def test_gains_by_hand() -> None:
    def rows(kind: str, batch_s: tuple[float, ...], turns_s: tuple[float, ...]) -> list[Row]:
        rounds = enumerate(zip(batch_s, turns_s, strict=True), -1)  # the first is a warm-up
        return [Row(kind, 4, repeat, batch, turns, 0.5) for repeat, (batch, turns) in rounds]

    summary = summarise(
        [
            *rows("vision", (90.0, 2.0, 4.0, 6.0), (90.0, 1.0, 2.0, 3.0)),
            *rows("prompt and mask", (90.0, 5.0, 5.0, 5.0), (90.0, 10.0, 10.0, 20.0)),
            *rows("word", (90.0, 1.0, 1.0, 1.0), (90.0, 2.0, 3.0, 2.0)),
        ]
    )
    assert summary["vision"]["4"]["times_as_fast"] == {"median": 0.5, "least": 0.5, "most": 0.5}
    assert summary["prompt and mask"]["4"]["median_s"] == {"batch": 5.0, "turns": 10.0}
    assert summary["prompt and mask"]["4"]["times_as_fast"] == {"median": 2.0, "least": 2.0, "most": 4.0}
    # 12 passes for words: 2 + 10 + 24 s in turn; pictures gain nothing, so 2 + 5 + 12 s with batches where they gain.
    assert answer_gains(summary, {"word_passes": 12, "draw_s": 0.0}) == {"4": 36 / 19}
    # Masks of four conversations are drawn one after the other either way.
    assert answer_gains(summary, {"word_passes": 12, "draw_s": 0.25}) == {"4": 37 / 20}


@pytest.mark.parametrize("name", ["repeats", "conversations", "answers"])
def test_bad_input_is_one_sentence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batching", *OPTIONS, f"--{name}", "0", "--out", str(tmp_path / "out")]) == 2
    assert f"error: {name} must be at least 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

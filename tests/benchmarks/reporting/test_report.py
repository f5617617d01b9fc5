"""Reports and comparisons, made from records alone: a table by hand, and what happens to a stored one."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.reporting.compare import Difference, compare_runs
from benchmarks.reporting.report import check_report, make_report, unequal, write_report
from benchmarks.reporting.report_table import interval, markdown, number
from benchmarks.running.memory import MEMORY_FILE, Memory
from benchmarks.scoring.records import Record
from tests.benchmarks.scoring.test_records import MASK, QUESTION

ROOT = Path(__file__).parents[3]
STAMP = replace(MASK, variant="", masks=[], phases_s={"decode": 0.1, "mask": 0.05})
#: intersection, union, no target, seconds of stamp, seconds of the other method.
SAMPLES = ((80, 100, False, 1.0, 4.0), (30, 60, False, 2.0, 6.0), (0, 0, True, 3.0, 30.0), (0, 50, True, 4.0, 8.0))


def records() -> list[Record]:
    """Four requests for masks and three questions, by two methods; one answer of the other is invalid, one a crash."""
    made = []
    for number_, (intersection, union, no_target, own_s, other_s) in enumerate(SAMPLES):
        sample = replace(
            STAMP,
            sample=f"e{number_}",
            image=f"{number_}.png",
            intersection=intersection,
            union=union,
            predicted=union,
            no_target=no_target,
            kind="segment_absent" if no_target else "segment",
            total_s=own_s,
            new_tokens=4 + number_,
        )
        other = replace(sample, method="polygon", variant="x", total_s=other_s, new_tokens=40, forward_passes=41)
        made += [sample, other]
    for number_, correct in enumerate((True, True, False)):
        made.append(
            replace(
                QUESTION,
                variant="",
                sample=f"q{number_}",
                image=f"{number_}.png",
                kind="count",
                correct=correct,
                total_s=100.0,
            )
        )
    made[1] = replace(made[1], status="invalid", intersection=0, predicted=0)
    made[3] = replace(
        made[3], status="error", error="It broke.", intersection=0, predicted=0, total_s=None, new_tokens=None
    )
    return made


def write(folder: Path, made: list[Record]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "records.jsonl").write_text("".join(record.to_line() for record in made))
    return folder


def test_scores_and_costs_by_hand(tmp_path: Path) -> None:
    report = make_report(write(tmp_path, records()))
    stamp, polygon = report["rows"]
    assert (stamp["method"], polygon["method"]) == ("stamp", "polygon:x")
    assert (stamp["requests_for_masks"], stamp["questions"], stamp["errors"]) == (4, 3, 0)
    assert (polygon["requests_for_masks"], polygon["questions"], polygon["errors"]) == (4, 0, 1)
    values = {name: score and score["value"] for name, score in stamp["scores"].items()}
    assert values == pytest.approx(
        {
            "gIoU": (0.8 + 0.5 + 1 + 0) / 4,
            "target gIoU": 0.65,
            "cIoU": 110 / 210,
            "P@0.5": 1.0,
            "P@0.7": 0.5,
            "P@0.9": 0.0,
            "N-acc": 0.5,
            "T-acc": 1.0,
            "invalid": 0.0,
            "dialogue": 2 / 3,
        }
    )
    values = {name: score and score["value"] for name, score in polygon["scores"].items()}
    assert values == {
        "gIoU": 0.25,
        "target gIoU": 0.0,
        "cIoU": 0.0,
        "P@0.5": 0.0,
        "P@0.7": 0.0,
        "P@0.9": 0.0,
        "N-acc": 0.5,
        "T-acc": 0.0,
        "invalid": 0.25,
        "dialogue": None,
    }
    assert stamp["scores"]["gIoU"]["n"] == 4
    assert stamp["cost"] == {
        "n": 4,
        "median_s": 2.5,
        "p90_s": pytest.approx(3.7),
        "median_tokens": 5.5,
        "median_passes": 6.0,
        "median_phases_s": {"decode": 0.1, "mask": 0.05},
    }
    assert polygon["cost"]["n"] == 3
    assert polygon["cost"]["median_s"] == 8.0
    assert stamp["against_reference"] is None
    compared = polygon["against_reference"]
    ratio = compared["times_s"]
    assert (ratio["value"], ratio["n"]) == (8.0 / 3.0, 3)  # on the samples that both have measured
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
    assert (compared["gIoU"]["value"], compared["gIoU"]["n"]) == (pytest.approx(0.25 - 0.575), 4)
    assert compared["dialogue"] is None  # the other method was asked no question
    assert list(stamp["kinds"]) == ["segment", "segment_absent", "count"]
    assert stamp["kinds"]["segment"]["scores"]["gIoU"]["value"] == pytest.approx(0.65)
    assert stamp["kinds"]["segment"]["cost"]["median_s"] == 1.5
    assert stamp["kinds"]["count"]["scores"]["dialogue"]["n"] == 3
    assert stamp["kinds"]["count"]["scores"]["gIoU"] is None


def test_a_pair_that_differs_everywhere_has_a_sharp_difference(tmp_path: Path) -> None:
    """Paired: the samples are far apart, the two methods always by 0.1."""
    made = []
    for place in range(20):
        sample = replace(STAMP, sample=str(place), image=str(place), intersection=4 * place, union=100, predicted=99)
        made += [sample, replace(sample, method="other", intersection=4 * place + 10)]
    row = make_report(write(tmp_path, made))["rows"][1]
    compared = row["against_reference"]["gIoU"]
    assert [compared[name] for name in ("value", "low", "high")] == pytest.approx([0.1, 0.1, 0.1])
    assert row["scores"]["gIoU"]["high"] - row["scores"]["gIoU"]["low"] > 0.1


def test_a_sample_without_annotation_is_left_out_and_counted(tmp_path: Path) -> None:
    made = records()
    made[0] = replace(
        made[0], status="error", error="unreadable", intersection=None, union=None, predicted=None, total_s=None
    )
    row = make_report(write(tmp_path, made))["rows"][0]
    assert (row["errors"], row["without_annotation"], row["requests_for_masks"]) == (1, 1, 4)
    assert (row["scores"]["gIoU"]["n"], row["scores"]["gIoU"]["value"]) == (3, 0.5)
    assert "scenes known, stamp: 1 without a readable annotation." in write_report(tmp_path)


def test_conventions_change_what_they_say(tmp_path: Path) -> None:
    made = records()
    made[5] = replace(made[5], status="invalid")  # unusable where nothing is
    folder = write(tmp_path, made)
    values = {
        name: make_report(folder, name)["rows"][1]["scores"]["gIoU"]["value"] for name in ("ours", "lisa", "gres")
    }
    assert values == {"ours": 0.0, "lisa": 0.25, "gres": 0.0}
    with pytest.raises(ValueError, match="no convention 'coco'; choose one of ours, lisa, gres"):
        make_report(folder, "coco")


def test_splits_and_datasets_have_rows_of_their_own(tmp_path: Path) -> None:
    made = [*records(), *(replace(record, split="style") for record in records())]
    rows = make_report(write(tmp_path, made))["rows"]
    assert [(row["split"], row["method"]) for row in rows] == [
        ("known", "stamp"),
        ("known", "polygon:x"),
        ("style", "stamp"),
        ("style", "polygon:x"),
    ]
    assert rows[0]["scores"] == rows[2]["scores"]


def test_tables(tmp_path: Path) -> None:
    made = [replace(record, dataset="a|b\n") for record in records()]
    tables = write_report(write(tmp_path, made))
    assert tables == (tmp_path / "report.md").read_text()
    lines = tables.splitlines()
    assert lines[0] == (
        "| dataset | split | method | precision | n | gIoU | target gIoU | cIoU | P@0.5 | P@0.7 | P@0.9 | N-acc "
        "| T-acc | invalid | dialogue | median s | p90 s | tokens | passes | times stamp | weights MB | peak MB |"
    )
    assert lines[1] == "| --- | --- | --- | --- |" + " ---: |" * 18
    assert lines[2].startswith("| a\\|b | known | stamp | float32 | 7 | 0.575 [")
    assert lines[2].endswith("| 2.5 | 3.7 | 5.5 | 6 | – | – | – |")
    assert lines[3].startswith("| a\\|b | known | polygon:x | float32 | 4 | 0.250 [")
    assert "| – | 8 |" in lines[3]
    assert (
        lines[5] == "| dataset | split | method | seconds, times stamp | gIoU minus stamp's | dialogue minus stamp's |"
    )
    assert lines[7].startswith("| a\\|b | known | polygon:x | 2.67 [")
    assert "| -0.325 [-" in lines[7]
    assert lines[7].endswith(" | – |")
    assert "| a\\|b | known | stamp | count | 3 | dialogue | 0.667 [" in tables
    assert "polygon:x: 1 errors." in tables
    assert lines[-1] == "Measured with: unknown, there is no run.json."


def write_run(folder: Path, methods: dict[str, dict[str, Any]]) -> None:
    """run.json, with as much as a report reads of it."""
    session = {"date": "2026-01-02", "commit": "abc", "uncommitted_changes": False}
    run = {"config": {"processes": 1, "seed": 0}, "dataset": {}, "methods": methods, "sessions": [session]}
    (folder / "run.json").write_text(json.dumps(run))


def test_seconds_that_do_not_count_are_not_shown(tmp_path: Path) -> None:
    """Tokens, passes and scores are, and the records keep what was measured."""
    folder = write(tmp_path, records())
    write_run(folder, {})
    timed = make_report(folder)
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | {"config": run["config"] | {"seconds": False}}))
    for row, before in zip(make_report(folder)["rows"], timed["rows"], strict=True):
        for one, was in ((row, before), *((row["kinds"][kind], before["kinds"][kind]) for kind in row["kinds"])):
            assert one["scores"] == was["scores"]
            assert one["cost"] == was["cost"] | {"n": 0, "median_s": None, "p90_s": None, "median_phases_s": {}}
        if row["against_reference"]:
            assert row["against_reference"] == before["against_reference"] | {"times_s": None}
    note = "Seconds do not count: other work ran beside the measurement."
    assert note in write_report(folder).splitlines()
    (folder / "run.json").write_text(json.dumps(run))
    assert note not in write_report(folder)


NOTES = {
    "stamp": None,
    "polygon:x": "trained from another-bone on 20 pictures, which is not the equal budget",
    "stamp_nano": "no record says that it was trained with the equal budget",
    "backbone": None,
}


def test_dialogue_before_and_after(tmp_path: Path) -> None:
    """The backbone answers one of three questions; `stamp` was trained from it, the shipped nano was not."""
    questions = [record for record in records() if record.correct is not None]
    backbone = [replace(one, method="backbone", correct=number == 0) for number, one in enumerate(questions)]
    shipped = [replace(record, method="stamp_nano") for record in records() if record.method == "stamp"]
    folder = write(tmp_path, [*records(), *shipped, *backbone])
    assert all(row["before"] is None for row in make_report(folder)["rows"])  # nobody knows what was trained from what
    about: dict[str, dict[str, Any]] = {
        "stamp": {"model": "any-name", "trained_from": "bone", "pictures_seen": 20},
        "polygon:x": {"model": "nano-polygon", "trained_from": "another-bone", "pictures_seen": 20},
        "backbone": {"model": "bone", "trained_from": None, "pictures_seen": None},
        "stamp_nano": {"model": "nano-stamp", "trained_from": None, "pictures_seen": None},
    }
    write_run(folder, about)
    rows = {row["method"]: row for row in make_report(folder)["rows"]}
    before = rows["stamp"]["before"]
    assert (before["dialogue"]["value"], before["dialogue"]["n"]) == (pytest.approx(1 / 3), 3)
    assert (before["change"]["value"], before["change"]["n"]) == (pytest.approx(1 / 3), 3)
    assert {name for name, row in rows.items() if row["before"]} == {"stamp"}
    assert (rows["backbone"]["requests_for_masks"], rows["backbone"]["scores"]["gIoU"]) == (0, None)
    assert {name: row["note"] for name, row in rows.items()} == NOTES
    lines = write_report(folder).splitlines()
    columns = lines[0].split(" | ")
    place = columns.index("dialogue before")
    assert columns[place - 1 : place + 2] == ["dialogue", "dialogue before", "change"]
    cells = {line.split(" | ")[2]: line.split(" | ") for line in lines[2:6]}
    assert set(cells) == {"stamp", "polygon:x*", "stamp_nano*", "backbone"}
    assert cells["stamp"][place].startswith("0.333 [")
    assert cells["stamp"][place + 1].startswith("+0.333 [")
    assert cells["backbone"][place - 1].startswith("0.333 [")
    assert cells["backbone"][place : place + 2] == cells["stamp_nano*"][place : place + 2] == ["–", "–"]
    assert f"stamp_nano*: {NOTES['stamp_nano']}." in lines
    assert "Equal budget, trained from bone on 20 pictures each: stamp." in lines


def test_methods_of_equal_budget_are_named_by_what_was_recorded(tmp_path: Path) -> None:
    """Whatever the checkpoints are called; a change of dialogue needs the same backbone, not the same budget."""
    questions = [record for record in records() if record.correct is not None]
    made = [replace(one, method=name) for one in questions for name in ("stamp", "polygon", "embedding", "backbone")]
    folder = write(tmp_path, made)
    pictures = {"stamp": 90, "polygon": 20, "embedding": 20}
    about: dict[str, dict[str, Any]] = {
        name: {"model": "x", "trained_from": "bone", "pictures_seen": number} for name, number in pictures.items()
    }
    write_run(folder, about | {"backbone": {"model": "bone"}})
    report = make_report(folder)
    assert report["equal_budget"] == {
        "trained_from": "bone", "pictures_seen": 20, "methods": ["polygon", "embedding"]
    }  # fmt: skip
    rows = {row["method"]: row for row in report["rows"]}
    assert {name for name, row in rows.items() if row["before"]} == set(pictures)
    assert {name for name, row in rows.items() if row["note"]} == {"stamp"}
    assert "Equal budget, trained from bone on 20 pictures each: polygon, embedding." in write_report(folder)
    for one in about.values():
        one |= {"trained_from": None, "pictures_seen": None}
    write_run(folder, about | {"backbone": {"model": "bone"}})
    report = make_report(folder)
    assert report["equal_budget"] is None
    assert {row["note"] for row in report["rows"]} == {row["before"] for row in report["rows"]} == {None}
    assert "Equal budget" not in write_report(folder)


def test_memory_stands_in_the_table(tmp_path: Path) -> None:
    memory = {
        "stamp": Memory("cpu", 24_000_000, 500_000_000, 560_000_000, 540_000_000, 700_000_000, 4),
        "polygon:x": Memory(error="The process ended."),
    }
    folder = write(tmp_path, records())
    (folder / MEMORY_FILE).write_text(json.dumps({label: asdict(one) for label, one in memory.items()}))
    stamp, polygon = make_report(folder)["rows"]
    assert (stamp["memory"], polygon["memory"]) == (asdict(memory["stamp"]), asdict(memory["polygon:x"]))
    lines = write_report(folder).splitlines()
    assert lines[2].endswith(" | 24 | 200 |")
    assert lines[3].endswith(" | – | – |")
    assert "Memory of polygon:x is not known: The process ended." in lines
    assert check_report(folder) == []
    (folder / MEMORY_FILE).write_text('{"stamp": {"weight": 3}}')
    with pytest.raises(ValueError, match=r"memory\.json cannot be read"):
        make_report(folder)


def test_cells() -> None:
    assert markdown(("a", "b"), [("x", "1"), ("y | z", "2")], 1) == "\n".join(
        ["| a | b |", "| --- | ---: |", "| x | 1 |", "| y \\| z | 2 |"]
    )
    assert [number(value) for value in (None, 0.0, 0.12345, 1234.5)] == ["–", "0", "0.123", "1.23e+03"]
    unknown = {"value": None, "low": None, "high": None, "n": 0}
    assert interval(None) == interval(unknown) == "–"
    assert interval(unknown | {"value": 0.5}) == "0.500"
    assert interval(unknown | {"value": 0.5}, digits=1, sign="+") == "+0.5"
    assert interval({"value": 2.0, "low": 1.5, "high": 2.25, "n": 9}, digits=1) == "2.0 [1.5, 2.2]"


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, records())
    assert main(["report", "--check", str(folder)]) == 2
    assert "holds no report.json" in capsys.readouterr().err
    assert main(["report", str(folder), "--convention", "lisa"]) == 0
    assert "Convention: lisa" in capsys.readouterr().out
    assert main(["report", "--check", str(folder)]) == 0
    assert capsys.readouterr().out == "the report matches its records\n"
    write(folder, records()[1:])
    assert main(["report", "--check", str(folder)]) == 1
    assert "report.rows[0]" in capsys.readouterr().out
    write(folder, records())
    (folder / "report.md").write_text("edited")
    assert check_report(folder) == ["report.md is not the table of report.json"]


def test_a_stored_figure_may_differ_in_the_last_digits_only(tmp_path: Path) -> None:
    folder = write(tmp_path, records())
    write_report(folder)
    stored = json.loads((folder / "report.json").read_text())
    for factor, same in ((1 + 1e-12, True), (1 + 1e-6, False)):
        changed = json.loads(json.dumps(stored))
        changed["rows"][0]["scores"]["cIoU"]["value"] *= factor
        assert (not list(unequal(changed, stored))) is same


def test_corrupt_records_are_named_in_the_report(tmp_path: Path) -> None:
    folder = write(tmp_path, records())
    with (folder / "records.jsonl").open("a") as file:
        file.write("{broken\n")
    assert "Not read: records.jsonl, line 12: " in write_report(folder)
    with pytest.raises(ValueError, match=r"cannot be read: records\.jsonl, line 12"):
        compare_runs(folder, folder)


def test_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write(tmp_path / "a", records())
    slower = [replace(record, total_s=99.0, order=5, new_tokens=7) for record in records()]
    b = write(tmp_path / "b", slower[::-1])
    assert main(["compare", str(a), str(b)]) == 0  # neither latency nor order counts
    assert "differs" not in capsys.readouterr().out
    changed = records()
    changed[0] = replace(changed[0], intersection=79)
    c = write(tmp_path / "c", changed)
    assert main(["compare", str(a), str(c)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "differs" in line]
    assert [line.split(" | ")[3] for line in lines] == ["gIoU", "target gIoU", "cIoU"]
    assert lines[0].split(" | ")[4:7] == ["0.575", "0.5725", "-0.0025"]
    assert main(["compare", str(a), str(c), "--tolerance", "0.006"]) == 0
    assert main(["compare", str(a), str(write(tmp_path / "d", records()[:-1])), "--tolerance", "1"]) == 1
    assert main(["compare", str(a), str(write(tmp_path / "e", records()[:8])), "--tolerance", "9"]) == 1
    assert main(["compare", str(a), str(tmp_path / "none")]) == 2


def test_compare_tells_other_samples_from_the_same_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As many of them, with the same scores."""
    a = write(tmp_path / "a", records())
    b = write(tmp_path / "b", [replace(one, sample=one.sample.replace("e1", "e9")) for one in records()])
    assert main(["compare", str(a), str(b), "--tolerance", "1"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "differs" in line]
    assert [line.split(" | ")[2:] for line in lines] == [
        [method, "samples of its own", "1", "1", "+0", "differs |"] for method in ("polygon:x", "stamp")
    ]


def test_a_score_that_one_run_lacks_differs_always() -> None:
    row = ("scenes", "known", "stamp")
    assert Difference(row, "gIoU", 0.5, None).exceeds(np.inf)
    assert Difference(row, "samples", 7, 8).exceeds(np.inf)
    assert not Difference(row, "gIoU", 0.5, 0.5).exceeds(0.0)
    assert Difference(row, "gIoU", 0.5, np.nextafter(0.5, 1)).exceeds(0.0)


def test_a_report_loads_no_model() -> None:
    code = "import sys, benchmarks.reporting.report, benchmarks.reporting.compare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

"""Records: what goes in comes out, and nothing else comes in."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.running.runner import merge_records
from benchmarks.scoring.records import Record, RecordLog, read_records, record_files, records_of
from stamp.files import write_atomically
from tests.benchmarks import tiny

MASK = Record(
    dataset="scenes",
    split="known",
    sample="known-0000-e0",
    image="known-0000.png",
    kind="segment",
    prompt="segment the circle",
    method="stamp",
    variant="none",
    precision="float32",
    status="ok",
    order=3,
    text="Sure: ",
    raw_output="Sure: <|seg|>",
    masks=[tiny.box_rle(1, 2, 3, 4)],
    intersection=5,
    union=20,
    predicted=12,
    no_target=False,
    phases_s={"vision": 0.1},
    total_s=0.25,
    new_tokens=4,
    forward_passes=6,
)
QUESTION = replace(
    MASK, sample="known-0000-q0", masks=[], intersection=None, union=None, predicted=None, no_target=None, correct=True
)
ERROR = replace(QUESTION, sample="known-0000-q1", status="error", correct=False, error="It broke.", total_s=None)


@pytest.mark.parametrize("record", [MASK, QUESTION, ERROR])
def test_a_line_comes_back(record: Record) -> None:
    assert Record.from_line(record.to_line()) == record
    assert record.to_line().count("\n") == 1


@given(st.text(), st.floats(0, 1e9), st.integers(0, 10**9))
def test_any_text_stays_on_one_line(text: str, seconds: float, tokens: int) -> None:
    record = replace(MASK, text=text, raw_output=text, prompt=text, total_s=seconds, new_tokens=tokens)
    line = record.to_line()
    assert line.isascii()
    assert line.splitlines() == [line[:-1]]
    assert Record.from_line(line) == record


def test_names() -> None:
    assert MASK.label == "stamp:none"
    assert replace(MASK, variant="").label == "stamp"
    assert MASK.key == ("scenes", "known", "known-0000-e0", "stamp", "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": "3"}, "order must be int, got '3'"),
        ({"order": True}, "order must be int, got True"),
        ({"status": "fine"}, "status must be"),
        ({"total_s": "fast"}, "total_s must be"),
        ({"phases_s": {"vision": None}}, "phases_s must be"),
        ({"masks": [{"size": [1, 1]}]}, "masks must be"),
        ({"masks": [{"size": [1, 1], "counts": 3}]}, "masks must be"),
        ({"masks": None}, "masks must be"),
        ({"prompt": None}, "prompt must be str"),
        ({"error": "It broke."}, "status error, and only those, have a sentence"),
        ({"status": "error"}, "status error, and only those, have a sentence"),
        ({"correct": True}, "to a request for a mask .* or to a question"),
        ({"no_target": None}, "to a request for a mask .* or to a question"),
        ({"union": None}, "must come together"),
        ({"intersection": 13}, "0 <= intersection <= predicted <= union"),
        ({"intersection": -1}, "0 <= intersection <= predicted <= union"),
        ({"predicted": 21}, "0 <= intersection <= predicted <= union"),
        ({"surprise": 1}, r"unknown: \['surprise'\]"),
    ],
)
def test_a_line_that_is_no_record_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Record.from_line(json.dumps(json.loads(MASK.to_line()) | change))


def test_numbers_are_finite() -> None:
    for value in ("NaN", "Infinity"):
        with pytest.raises(ValueError, match="total_s must be"):
            Record.from_line(MASK.to_line().replace("0.25", value))


def test_a_corrupt_line_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    missing = json.dumps({"dataset": "scenes"})
    path.write_text(MASK.to_line() + "{oops\n" + QUESTION.to_line() + "[1]\n" + missing + "\n" + ERROR.to_line()[:40])
    records, problems = read_records([path])
    assert records == [MASK, QUESTION]
    assert [problem.split(":")[0] for problem in problems] == [f"records.jsonl, line {n}" for n in (2, 4, 5, 6)]
    assert "not a JSON object" in problems[1]
    assert "fields missing: ['correct'," in problems[2]


def test_the_later_record_counts(tmp_path: Path) -> None:
    again = replace(MASK, total_s=9.0)
    for name, record in (("records.jsonl", MASK), ("records-0-of-2.jsonl", again)):
        (tmp_path / name).write_text(record.to_line())
    for not_ours in ("records-backup.jsonl", "records_old.jsonl", "records-0-of-2-copy.jsonl"):
        (tmp_path / not_ours).write_text(replace(MASK, total_s=1.0).to_line())
    (tmp_path / "records-1-of-2.jsonl").mkdir()
    assert [path.name for path in record_files(tmp_path)] == ["records.jsonl", "records-0-of-2.jsonl"]
    assert records_of(tmp_path) == ([again], [])
    with pytest.raises(ValueError, match=r"holds no records\.jsonl"):
        records_of(tmp_path / "none")


def test_records_may_be_compressed(tmp_path: Path) -> None:
    """They are read as they were, new ones are written beside them, and merging puts all in one file."""
    packed = tmp_path / "records.jsonl.gz"
    packed.write_bytes(gzip.compress((MASK.to_line() + QUESTION.to_line()).encode()))
    assert records_of(tmp_path) == ([MASK, QUESTION], [])
    again = replace(MASK, total_s=9.0)
    with RecordLog(tmp_path / "records.jsonl") as log:
        log.append(again)
    assert records_of(tmp_path) == ([again, QUESTION], [])
    merge_records(tmp_path, [])
    assert [path.name for path in tmp_path.iterdir()] == ["records.jsonl"]
    assert sorted(records_of(tmp_path)[0], key=lambda record: record.sample) == sorted(
        [again, QUESTION], key=lambda record: record.sample
    )
    for damaged in (b"no gzip", gzip.compress(MASK.to_line().encode())[:-9]):
        packed.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"records\.jsonl\.gz is damaged"):
            records_of(tmp_path)


@pytest.mark.parametrize("cut", [1, 40, len(QUESTION.to_line()) - 1])
def test_a_torn_last_line_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "new" / "records.jsonl"
    with RecordLog(path) as log:
        log.append(MASK)
        assert path.read_text() == MASK.to_line()  # at once, not when it is closed
    with path.open("a") as file:
        file.write(QUESTION.to_line()[:cut])
    with RecordLog(path) as log:
        assert path.read_text() == MASK.to_line()
        log.append(ERROR)
    assert read_records([path]) == ([MASK, ERROR], [])


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    write_atomically(path, "new")
    assert [one.name for one in tmp_path.iterdir()] == ["report.md"]
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("union", 2**63), ("order", -(2**63)), ("total_s", 10**400), ("total_s", 2**63), ("phases_s", {"m": 10**400}),
        ("masks", [{"size": [2**63, 1], "counts": ""}]), ("prompt", "segment \ud800"), ("phases_s", {"\udfff": 0.1}),
        ("masks", [{"size": [1, 1], "counts": "\ud800"}]),
    ],
)  # fmt: skip
def test_what_no_table_and_no_page_can_hold_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    """Integers of more than 64 bits, and halves of characters: the line is named and the others are read."""
    content = json.loads(MASK.to_line()) | {name: value}
    (tmp_path / "records.jsonl").write_text(f"{json.dumps(content)}\n{QUESTION.to_line()}")
    records, (problem,) = records_of(tmp_path)
    assert records == [QUESTION]
    assert problem.startswith(f"records.jsonl, line 1: {name} must be ")
    problem.encode()


def test_records_of_earlier_versions_are_read() -> None:
    """They have no confidence; every other field is needed."""
    content = json.loads(MASK.to_line())
    del content["confidence"]
    assert Record.from_line(json.dumps(content)) == MASK
    for name in content:
        with pytest.raises(ValueError, match=f"fields missing: \\['{name}'\\]"):
            Record.from_line(json.dumps({key: value for key, value in content.items() if key != name}))

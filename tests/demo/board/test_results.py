"""Run folders become rows and samples that say what the benchmark's own report says; what is broken is named."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from benchmarks.reporting.report import make_report, write_report
from benchmarks.reporting.report_table import megabytes, number
from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.records import Record, records_of
from benchmarks.scoring.scores import SCORES, cost_of, scores_of
from demo.board.dashboard import board_view
from demo.board.export import to_csv
from demo.board.filters import Filters, from_query
from demo.board.results import ALL, RESULTS, ResultStore, read_results
from tests.demo.runs import report_of, spoil_line, write_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    write_run(root / "run", tmp_path_factory.mktemp("data"))
    return root


def test_memory_is_that_of_the_benchmarks_own_table() -> None:
    """Of the committed results: the peak above what the process held before, as the report and the column say."""
    rows = read_results(RESULTS).rows
    of_run = rows[(rows["run"] == "scenes") & (rows["kind"] == ALL)]
    report = json.loads((RESULTS / "scenes" / "report.json").read_text())["rows"]
    for (_, row), stored in zip(of_run.iterrows(), report, strict=True):
        shown = tuple(number(row[name]) for name in ("weights MB", "peak MB"))
        assert shown == megabytes(stored["memory"])
    assert 50 < of_run["peak MB"].min() < of_run["peak MB"].max() < 200


def test_rows_are_those_of_the_report(root: Path) -> None:
    results, report = read_results(root), report_of(root / "run")
    rows = results.rows
    assert results.problems == ()
    assert len(rows) == sum(1 + len(row["kinds"]) for row in report["rows"])
    whole = rows[rows["kind"] == ALL]
    for (_, row), stored in zip(whole.iterrows(), report["rows"], strict=True):
        assert (row["split"], row["method"], row["n"]) == (
            stored["split"],
            stored["method"],
            stored["requests_for_masks"],
        )
        for name in SCORES:
            score = stored["scores"][name]
            if score is not None:
                assert (row[name], row[f"{name} low"], row[f"{name} high"]) == (
                    score["value"],
                    score["low"],
                    score["high"],
                )
        assert row["median s"] == stored["cost"]["median_s"]
        assert (row["hardware"], row["commit"], row["date"]) == ("a test machine", "abc", "2026-01-02")
    assert list(dict.fromkeys(whole["paradigm"])) == ["patch text", "polygon text", "all-mask"]


def test_a_row_of_one_kind_is_scored_from_the_records_of_that_kind(root: Path) -> None:
    rows = read_results(root).rows
    row = rows[(rows["kind"] == "segment") & (rows["split"] == "style") & (rows["method"] == "polygon")].iloc[0]
    own = [
        record
        for record in records_of(root / "run")[0]
        if (record.kind, record.split, record.label) == ("segment", "style", "polygon")
    ]
    found = scores_of(own, CONVENTIONS["ours"])["gIoU"]
    assert found is not None
    assert (row["gIoU"], row["n"]) == (found.value, len(own))
    assert row["median s"] == cost_of(own).median_s


def test_a_seed_that_draws_nothing_is_none(tmp_path: Path) -> None:
    """Two runs of all samples have the same ones, whatever their seeds."""
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    about = json.loads((folder / "run.json").read_text())
    assert set(read_results(tmp_path / "results").rows["seed"]) == {None}
    (folder / "run.json").write_text(json.dumps(about | {"config": about["config"] | {"limit": 12, "seed": 7}}))
    (folder / "report.json").unlink()
    assert set(read_results(tmp_path / "results").rows["seed"]) == {7}


def test_errors_are_counted_in_every_row(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    records, _ = records_of(folder)
    first = next(record for record in records if record.kind == "segment")
    failed = replace(first, status="error", error="It broke.")
    (folder / "records.jsonl").write_text("".join((failed if one is first else one).to_line() for one in records))
    (folder / "report.json").unlink()
    rows = read_results(tmp_path / "results").rows
    found = rows[(rows["method"] == first.label) & (rows["split"] == first.split)].set_index("kind")["errors"]
    assert dict(found) == {"all": 1, "segment": 1, "segment_absent": 0, "count": 0, "exists": 0}


def test_samples_have_the_iou_of_their_record(root: Path) -> None:
    samples = read_results(root).samples
    records, _ = records_of(root / "run")
    assert len(samples) == len(records)
    for (_, sample), record in zip(samples.iterrows(), records, strict=True):
        if record.correct is not None:
            assert sample["correct"] == record.correct
        elif record.union:
            assert sample["iou"] == record.intersection / record.union  # type: ignore[operator]


def test_a_broken_line_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    before = len(read_results(tmp_path / "results").samples)
    spoil_line(folder)
    results = read_results(tmp_path / "results")
    assert len(results.samples) == before - 1
    line, incomplete = results.problems
    assert "records.jsonl, line 2" in line
    assert incomplete == "run has 11 of 12 samples of known by polygon."


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"rows": 3}'])
def test_a_broken_report_is_made_again(tmp_path: Path, text: str) -> None:
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    rows = read_results(tmp_path / "results").rows
    (folder / "report.json").write_text(text)
    again = read_results(tmp_path / "results")
    assert again.problems == ()
    assert again.rows.drop(columns="phases").equals(rows.drop(columns="phases"))


def worse(record: Record) -> Record:
    return replace(record, intersection=0, predicted=0) if record.intersection else record


STALE: dict[str, Callable[[Path], Any]] = {
    "scores": lambda folder: rewrite(folder, worse),
    "seconds": lambda folder: rewrite(folder, lambda record: replace(record, total_s=9.0)),
    "methods": lambda folder: rewrite(folder, lambda record: replace(record, variant="x")),
    "settings": lambda folder: (folder / "run.json").write_text(
        (folder / "run.json").read_text().replace("a test machine", "another machine")
    ),
    "memory": lambda folder: (folder / "memory.json").write_text('{"stamp": {"weights_bytes": 7, "peak_bytes": 9}}'),
}


def rewrite(folder: Path, change: Callable[[Record], Record]) -> None:
    lines = [change(record).to_line() for record in records_of(folder)[0]]
    (folder / "records.jsonl").write_text("".join(lines))


@pytest.mark.parametrize("name", STALE)
def test_a_report_of_other_records_or_settings_is_made_again(tmp_path: Path, name: str) -> None:
    """The number of records is the same."""
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    STALE[name](folder)
    (run,) = read_results(tmp_path / "results").runs
    assert run.report == json.loads(json.dumps(make_report(folder)))
    assert run.report != report_of(folder)


def test_a_report_of_these_records_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.board.results.make_report", None)
    write_run(tmp_path / "results" / "run", tmp_path / "data")
    for folder in (tmp_path / "results", RESULTS):
        assert read_results(folder).problems == ()


def test_seconds_that_do_not_count_are_shown_nowhere(tmp_path: Path) -> None:
    """No figure, no sentence and no pair is about them; the page says why."""
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(about | {"config": about["config"] | {"seconds": False}}))
    for _ in range(2):  # the report is made, then stored
        results = read_results(tmp_path / "results")
        assert results.problems == ()
        assert results.rows[["median s", "p90 s", "times stamp"]].isna().all(axis=None)
        assert results.samples["total_s"].isna().all()
        assert list(results.rows["phases"]) == [{}] * len(results.rows)
        whole = results.rows[(results.rows["kind"] == ALL) & (results.rows["split"] == "known")]
        assert whole["tokens"].notna().all()
        page = board_view(results, Filters("scenes", "known"), [])
        assert "Seconds do not count: other work ran beside the measurement." in page["table"]
        assert "Fastest" not in page["headline"]
        assert [name for name in ("glance", "trilemma", "phases", "tokens") if page[f"{name}_card"].visible] == []
        write_report(folder)


def test_every_session_is_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    about = json.loads((folder / "run.json").read_text())
    about["sessions"] += [{"date": "2026-01-03", "commit": "def", "uncommitted_changes": True}]
    about["sessions"] += [{"date": "2026-01-03", "commit": None, "uncommitted_changes": None}]
    (folder / "run.json").write_text(json.dumps(about))
    results = read_results(tmp_path / "results")
    assert set(results.rows["commit"]) == {"abc, def with uncommitted changes"}
    assert set(results.rows["date"]) == {"2026-01-02, 2026-01-03"}
    table = board_view(results, Filters("scenes", "known"), [])["table"]
    assert "Measured on: a test machine, float32, 2 days, 2 commits (with uncommitted changes)." in table
    del about["sessions"][2], about["sessions"][0]
    (folder / "run.json").write_text(json.dumps(about))
    table = board_view(read_results(tmp_path / "results"), Filters("scenes", "known"), [])["table"]
    assert "a test machine, float32, 2026-01-03, def with uncommitted changes." in table


def test_a_broken_run_leaves_the_others(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    broken = tmp_path / "results" / "broken"
    broken.mkdir()
    (broken / "records.jsonl").write_bytes((folder / "records.jsonl").read_bytes())
    (broken / "run.json").write_text("{")
    empty = tmp_path / "results" / "empty"
    empty.mkdir()
    (empty / "records.jsonl").write_text("nothing\n")
    results = read_results(tmp_path / "results")
    assert [run.name for run in results.runs] == ["run"]
    assert [problem.split()[0] for problem in results.problems] == ["broken", "empty"]
    assert str(tmp_path) not in "".join(results.problems)


def test_a_method_without_records_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    about = json.loads((folder / "run.json").read_text())
    about["config"]["methods"].append("embedding")
    (folder / "run.json").write_text(json.dumps(about))
    (folder / "report.json").unlink()
    assert read_results(tmp_path / "results").problems == ("run has no record of embedding.",)


def test_without_run_json_provenance_is_unknown_and_said_to_be(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "results" / "run", tmp_path / "data")
    (folder / "run.json").unlink()
    (folder / "report.json").unlink()
    results = read_results(tmp_path / "results")
    assert results.rows["hardware"].isna().all()
    assert "unknown" in results.problems[0]


def test_no_folder_and_no_runs_are_empty(tmp_path: Path) -> None:
    nothing = read_results(tmp_path / "none")
    assert nothing.rows.empty
    assert "--results" in nothing.problems[0]
    assert read_results(tmp_path).rows.empty
    assert read_results(tmp_path).problems == ()


def test_the_committed_folder_can_be_read() -> None:
    assert read_results(RESULTS).problems == ()


def test_a_file_that_comes_and_goes_or_leads_nowhere_breaks_nothing(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", tmp_path / "data")
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "records.jsonl").symlink_to("nowhere")
    (tmp_path / "throughput.json").symlink_to("nowhere")
    (folder / ".report.json.tmp").symlink_to("gone")
    store = ResultStore(tmp_path)
    assert [run.name for run in store.get().runs] == ["run"]
    assert store.get() is store.get()
    (tmp_path / "dangling" / "records.jsonl").unlink()
    (tmp_path / "dangling" / "records.jsonl").symlink_to(folder / "records.jsonl")
    assert [run.name for run in store.get().runs] == ["dangling", "run"]


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run", tmp_path / "data")
    (tmp_path / "shut").mkdir()
    whole = Path.exists

    def exists(path: Path) -> bool:
        if path.parent.name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(Path, "exists", exists)
    results = read_results(tmp_path)
    assert [run.name for run in results.runs] == ["run"]
    assert results.problems == ("shut cannot be shown: [Errno 13] Permission denied: 'shut/records.jsonl'",)


def test_a_folder_with_a_name_of_another_encoding_is_shown(tmp_path: Path) -> None:
    """Its name is readable, in links and downloads too."""
    write_run(tmp_path / "run", tmp_path / "data").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    (tmp_path / os.fsdecode(b"t\xe9")).mkdir()
    (tmp_path / os.fsdecode(b"t\xe9") / "records.jsonl").write_text("nothing\n")
    results = read_results(tmp_path)
    assert [run.name for run in results.runs] == ["caf\\udce9"]
    (problem,) = results.problems
    assert problem.startswith("t\\udce9 cannot be shown: ")
    filters = Filters(run="caf\\udce9")
    assert from_query(parse_qs(filters.query()), results) == (filters, [])
    assert b"caf\\udce9" in to_csv(results.rows).encode()
    assert str(board_view(results, filters, [])).encode()


def test_results_are_read_once_until_a_file_changes(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    assert store.get().rows.empty
    write_run(tmp_path / "results" / "run", tmp_path / "data")
    first = store.get()
    assert not first.rows.empty
    assert store.get() is first

"""Live run: real records of real samples, caps, cancel, and committed figures of the same samples only."""

import json
import threading
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.scoring.records import Record
from demo.board.library import Library
from demo.board.live import BUSY, CAP_S, NOT_LOADED
from demo.board.live_panel import dataset_of, run_live
from demo.board.live_run import MAX_SAMPLES, Order, Progress, Ready, committed, progress_html, run_events
from demo.board.results import ResultStore, read_results
from tests.benchmarks.scripted import ScriptedMethod
from tests.benchmarks.tiny import write_scenes
from tests.demo.racers import ScriptedPool
from tests.demo.runs import answer_with, spoil_line, write_run


def scripted(name: str, share: float = 0.5) -> ScriptedMethod:
    method = ScriptedMethod(answer_with(share, 10, "<|seg|>"), name)
    method.about["hardware"] = "this machine"
    return method


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(results, data)."""
    results, data = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("data")
    write_run(results / "run", data)
    return results, data


def run(pool: ScriptedPool, data: Path, stop: threading.Event | None = None, **order: Any) -> Progress:
    given = Order(**{"dataset": "scenes", "split": "all", "kind": "all", "labels": ("stamp",), "n": 6, **order})
    progress = Progress(given)
    for batch in run_events(pool, Library({"scenes": data}), given, stop or threading.Event()):
        for event in batch:
            progress.take(event)
    return progress


def test_a_run_measures_the_samples_it_says(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pool = ScriptedPool({"stamp": scripted("stamp"), "polygon": scripted("polygon")})
    progress = run(pool, folders[1], labels=("stamp", "polygon"), n=6)
    assert progress.ready == Ready(12, (), "this machine", {"stamp": None, "polygon": None})
    assert len(progress.records) == 12
    by_split = dict.fromkeys(("known", "style", "background"), 0)
    for record in progress.records:
        by_split[record.split] += 1
    assert set(by_split.values()) == {4}
    assert progress.ending(stopped=False) == "Done: 12 answers."
    part = write_scenes(tmp_path / "part", splits=("style",))
    assert len(run(pool, part, split="style").records) == 4  # without the other splits
    of_kind = run(pool, folders[1], split="style", kind="count", n=20)
    assert {(record.split, record.kind) for record in of_kind.records} == {("style", "count")}


@pytest.mark.parametrize("n", [0, MAX_SAMPLES + 1])
def test_the_number_of_samples_is_capped(n: int) -> None:
    with pytest.raises(ValueError, match="1 to 20 samples"):
        Order("scenes", "all", "all", ("stamp",), n)


def test_stored_figures_are_of_the_same_samples(folders: tuple[Path, Path]) -> None:
    results, library = read_results(folders[0]), Library({"scenes": folders[1]})
    progress = run(ScriptedPool({"stamp": scripted("stamp")}), folders[1], split="style", n=5)
    found, where = committed(results, library, progress.records, None)
    assert {record.key for record in found} == {record.key for record in progress.records}
    assert where == "stored, a test machine"
    html = unescape(progress_html(progress, partial(committed, results, library), "x"))
    assert "measured now on this machine" in html
    assert "stored, a test machine" in html


def test_figures_of_other_pictures_are_not_set_beside(folders: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_scenes(tmp_path / "other", per_split=4)
    progress = run(ScriptedPool({"stamp": scripted("stamp")}), other, n=3)
    assert committed(read_results(folders[0]), Library({"scenes": other}), progress.records, None)[0] == []


def test_figures_of_another_checkpoint_are_not_set_beside(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r" / "run", tmp_path / "d")
    about = json.loads((folder / "run.json").read_text())
    about["methods"]["stamp"]["checkpoint_sha256"] = "old"
    (folder / "run.json").write_text(json.dumps(about))
    method = scripted("stamp")
    for checkpoint, where in (("new", "stored results are of another checkpoint"), ("old", "stored, a test machine")):
        method.about["checkpoint_sha256"] = checkpoint
        progress = run(ScriptedPool({"stamp": method}), tmp_path / "d", n=3)
        before = partial(committed, read_results(tmp_path / "r"), Library({"scenes": tmp_path / "d"}))
        html = unescape(progress_html(progress, before, ""))
        assert f"<td>{where}</td><td>{3 if checkpoint == 'old' else '–'}</td>" in html


def test_cancel_ends_a_run_and_keeps_what_was_measured(folders: tuple[Path, Path]) -> None:
    stop, calls = threading.Event(), []

    def script(image: Any, prompt: str) -> Any:
        calls.append(prompt)
        if len(calls) == 3:
            stop.set()
        return answer_with(0.5, 10, "")(image, prompt)

    progress = run(ScriptedPool({"stamp": ScriptedMethod(script, "stamp")}), folders[1], stop, n=20)
    assert len(calls) == len(progress.records) == 3
    assert progress.ending(stopped=True).startswith("Stopped after 3 of 20 answers")


def test_cancel_while_a_run_waits_for_the_machine(folders: tuple[Path, Path]) -> None:
    stop = threading.Event()
    pool = ScriptedPool({"stamp": scripted("stamp")})

    class Busy:
        def acquire(self, timeout: float) -> bool:
            stop.set()
            return False

    pool.slot.get().lock = Busy()  # type: ignore[assignment]
    progress = run(pool, folders[1], stop, n=3)
    assert progress.refused is None
    assert progress.ending(stopped=True) == "Stopped before the first answer."


@pytest.mark.parametrize(
    ("dataset", "split", "chosen"),
    [
        ("photos", "all", "photos"),
        ("all", "all", "scenes"),
        ("all", "known", "scenes"),
        ("all", "heldout", "photos"),  # scenes has no such split
        ("gone", "nowhere", "scenes"),
    ],
)
def test_the_dataset_is_one_that_has_the_split(dataset: str, split: str, chosen: str) -> None:
    rows = pd.DataFrame({"dataset": ["photos", "scenes"], "split": ["heldout", "known"]})
    assert dataset_of(rows, dataset, split) == chosen


def test_a_run_ends_when_its_time_is_up(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr("demo.board.live.time.monotonic", lambda: next(clock))
    progress = run(ScriptedPool({"stamp": scripted("stamp")}), folders[1], n=20)
    assert 0 < len(progress.records) < 20
    assert f"{CAP_S:.0f} s was reached" in progress.ending(stopped=False)


def test_one_run_at_a_time_and_missing_methods_and_data_are_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pool = ScriptedPool({"stamp": scripted("stamp"), "polygon": ValueError("/some/path")})
    with pool.turn():
        assert run(pool, folders[1]).refused == BUSY
    both = run(pool, folders[1], labels=("stamp", "polygon"), n=3)
    assert both.ready is not None
    assert both.ready.missing == ("polygon",)
    assert NOT_LOADED in unescape(progress_html(both, lambda *_: ([], ""), ""))
    assert "Polygon text" in str(run(pool, folders[1], labels=("polygon",)).refused)
    assert "--data scenes=FOLDER" in str(run(pool, tmp_path / "none").refused)


def test_the_panel_runs_from_click_to_end(folders: tuple[Path, Path]) -> None:
    pool = ScriptedPool({"stamp": scripted("stamp")})
    updates = list(
        run_live(pool, ResultStore(folders[0]), Library({"scenes": folders[1]}), ["stamp"], 4, "all", "known", "all")
    )
    assert updates[0]["live_halt"].visible is True
    assert "Done" in unescape(updates[-1]["live"])
    assert updates[-1]["live_halt"].visible is False


def test_records_of_a_live_run_are_records_of_the_benchmark(folders: tuple[Path, Path], tmp_path: Path) -> None:
    progress = run(ScriptedPool({"stamp": scripted("stamp")}), folders[1], n=2)
    for record in progress.records:
        assert Record.from_line(record.to_line()) == record
    folder = write_run(tmp_path / "r" / "run", tmp_path / "d")
    spoil_line(folder)  # a broken line of the committed records leaves the others
    stored, library = read_results(tmp_path / "r"), Library({"scenes": tmp_path / "d"})
    assert len(committed(stored, library, progress.records, None)[0]) >= 1

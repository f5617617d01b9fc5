"""Whole runs: interrupted, torn, gone on, shared among processes. The methods are scripted; the files are real."""

import json
import multiprocessing
import os
import signal
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import Dataset
from benchmarks.methods import Prediction
from benchmarks.running.processes import Process, this_process
from benchmarks.running.run_file import RunConfig, begin_run
from benchmarks.running.runner import Progress, choose_samples, run_benchmark
from benchmarks.scoring.records import Record, read_records, records_of
from stamp.files import StorageError
from tests.benchmarks import tiny
from tests.benchmarks.scripted import ScriptedMethod, answer
from tests.disks import TOO_LARGE, full_after

ALONE = Process(0, 1, "cpu")
CONFIG = RunConfig("scenes", ("known",), ("a", "b"))
#: A sample of each of four kinds, for each of two methods.
WARMUPS = 8


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Eight samples of two pictures."""
    return open_dataset("scenes", ["known"], tiny.write_scenes(tmp_path / "scenes", per_split=2, splits=("known",)))


def methods(log: list[tuple[str, str]] | None = None) -> list[ScriptedMethod]:
    """Two methods that mark everything."""

    def script(image: Image.Image, _: str) -> Prediction:
        return answer("one", np.ones((1, image.height, image.width), dtype=bool))

    return [ScriptedMethod(script, name, log=log) for name in "ab"]


def lasting(records: list[Record]) -> list[Record]:
    """Without what differs from run to run."""
    return [replace(record, total_s=None, order=0) for record in records]


def test_a_run_leaves_records_and_what_they_were_measured_with(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    assert sorted(path.name for path in out.iterdir()) == ["records.jsonl", "run.json"]
    records, problems = records_of(out)
    assert problems == []
    assert [(record.sample, record.label) for record in records] == [
        (sample.id, label) for sample in dataset.samples for label in "ab"
    ]
    run = json.loads((out / "run.json").read_text())
    assert run["config"] == {
        "dataset": "scenes",
        "splits": ["known"],
        "methods": ["a", "b"],
        "limit": None,
        "seed": 0,
        "warmups": 1,
        "processes": 1,
        "kinds": None,
        "seconds": True,
    }
    assert (len(run["dataset"]["sha256"]), run["dataset"]["files"], run["dataset"]["samples"]) == (64, 4, 8)
    assert run["methods"] == {"a": {"model": "none"}, "b": {"model": "none"}}
    assert run["sessions"] == [{"date": "2026-01-02", "commit": "abc", "uncommitted_changes": False}]


def interrupted(after: int) -> list[ScriptedMethod]:
    """The methods, of which the second is stopped by Ctrl-C after so many measured answers."""
    a, b = methods()
    whole = b.script

    def script(image: Image.Image, prompt: str) -> Prediction:
        if len(b.log) > WARMUPS // 2 + after:
            raise KeyboardInterrupt
        return whole(image, prompt)

    b.script = script
    return [a, b]


def test_ctrl_c_keeps_what_is_done_and_the_run_goes_on(dataset: Dataset, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run_benchmark(dataset, methods(), CONFIG, whole, ALONE)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(dataset, interrupted(after=3), CONFIG, out, ALONE)
    kept, problems = records_of(out)
    assert problems == []
    assert 6 <= len(kept) <= 7
    log: list[tuple[str, str]] = []
    run_benchmark(dataset, methods(log), CONFIG, out, ALONE)
    assert len(log) == WARMUPS + 16 - len(kept)
    assert lasting(records_of(out)[0]) == lasting(records_of(whole)[0])


def test_a_torn_line_and_a_corrupt_one_are_measured_again(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    before = records_of(out)[0]
    lines = (out / "records.jsonl").read_text().splitlines(keepends=True)
    (out / "records.jsonl").write_text("".join([*lines[:3], "{}\n", *lines[4:-1], lines[-1][:50]]))
    log: list[tuple[str, str]] = []
    run_benchmark(dataset, methods(log), CONFIG, out, ALONE)
    assert [name for name, _ in log] == [*"abab", *"bb"]  # a warm-up of two kinds, two answers
    assert lasting(records_of(out)[0]) == lasting(before)
    log.clear()
    run_benchmark(dataset, methods(log), CONFIG, out, ALONE)
    assert log == []


def test_a_kill_loses_no_answer_that_was_measured(dataset: Dataset, tmp_path: Path) -> None:
    """A real one, which runs no `finally`: of a process that is answering its sixth question of sixteen."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    run_benchmark(dataset, methods(), CONFIG, whole, ALONE)

    def killed() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        log: list[tuple[str, str]] = []
        doomed = methods(log)
        whole_script = doomed[0].script

        def script(image: Image.Image, prompt: str) -> Prediction:
            if len(log) == WARMUPS + 6:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole_script(image, prompt)

        for method in doomed:
            method.script = script
        run_benchmark(dataset, doomed, CONFIG, out, ALONE)

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    kept, problems = records_of(out)
    assert (len(kept), problems) == (5, [])
    log: list[tuple[str, str]] = []
    run_benchmark(dataset, methods(log), CONFIG, out, ALONE)
    assert len(log) <= WARMUPS + 16 - 5
    assert lasting(records_of(out)[0]) == lasting(records_of(whole)[0])


def test_a_full_disk_is_a_sentence_and_keeps_what_was_measured(dataset: Dataset, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run_benchmark(dataset, methods(), CONFIG, whole, ALONE)
    lines = (whole / "records.jsonl").read_bytes().splitlines(keepends=True)
    room = max((whole / "run.json").stat().st_size + 50, sum(map(len, lines[:5])))
    with full_after(room), pytest.raises(StorageError, match=rf"records\.jsonl {TOO_LARGE}"):
        run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    kept = (out / "records.jsonl").read_bytes().count(b"\n")  # one that lost its line break is measured again
    assert kept >= 3
    log: list[tuple[str, str]] = []
    run_benchmark(dataset, methods(log), CONFIG, out, ALONE)
    assert len(log) <= WARMUPS + 16 - kept
    assert lasting(records_of(out)[0]) == lasting(records_of(whole)[0])


def test_a_record_that_lacks_only_its_line_break_is_not_lost(dataset: Dataset, tmp_path: Path) -> None:
    run_benchmark(dataset, methods(), CONFIG, tmp_path, ALONE)
    whole = records_of(tmp_path)[0]
    with (tmp_path / "records.jsonl").open("r+b") as file:
        file.truncate(file.seek(-1, os.SEEK_END))
    run_benchmark(dataset, methods(), CONFIG, tmp_path, ALONE)
    assert lasting(records_of(tmp_path)[0]) == lasting(whole)


def test_errors_are_tried_again_when_asked(dataset: Dataset, tmp_path: Path) -> None:
    def fail(*_: object) -> Prediction:
        raise RuntimeError("not today")

    out = tmp_path / "out"
    broken = methods()
    broken[0].script = fail
    run_benchmark(dataset, broken, CONFIG, out, ALONE)
    assert [record.status for record in records_of(out)[0]] == ["error", "ok"] * 8
    log: list[tuple[str, str]] = []
    run_benchmark(dataset, methods(log), CONFIG, out, ALONE)
    assert log == []
    run_benchmark(dataset, methods(log), CONFIG, out, ALONE, retry=True)
    assert [name for name, _ in log[WARMUPS:]] == ["a"] * 8
    assert {record.status for record in records_of(out)[0]} == {"ok"}


def test_a_larger_limit_goes_on(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    log: list[tuple[str, str]] = []
    run_benchmark(dataset, methods(), replace(CONFIG, limit=3), out, ALONE)
    first = records_of(out)[0]
    assert len(first) == 6
    run_benchmark(dataset, methods(log), replace(CONFIG, limit=5), out, ALONE)
    new = {record.kind for record in records_of(out)[0] if record.key not in {one.key for one in first}}
    assert len(log) == 2 * len(new) + 4
    assert {record.key for record in first} < {record.key for record in records_of(out)[0]}
    run_benchmark(dataset, methods(), replace(CONFIG, limit=1), out, ALONE)
    assert len(records_of(out)[0]) == 10  # nothing is thrown away
    for limit, kept in ((1, 5), (None, None), (2, None)):  # nor forgotten
        begin_run(out, replace(CONFIG, limit=limit), dataset, methods())
        assert json.loads((out / "run.json").read_text())["config"]["limit"] == kept


def test_another_run_is_not_mixed_in(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    stored = (out / "records.jsonl").read_text()
    other = methods()
    other[1].about |= {"model": "another", "dtype": "bfloat16"}
    with pytest.raises(ValueError) as error:
        run_benchmark(dataset, other, replace(CONFIG, seed=4), out, ALONE)
    assert "config.seed: 0 there, 4 now" in str(error.value)
    assert "methods.b.model: none there, another now" in str(error.value)
    assert "methods.b.dtype: None there, bfloat16 now" in str(error.value)
    dataset.samples[0].image.write_bytes(dataset.samples[4].image.read_bytes())
    with pytest.raises(ValueError, match="dataset.sha256"):
        run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    (out / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json cannot be read"):
        run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    (out / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run\.json does not describe a run"):
        run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    (out / "run.json").unlink()
    with pytest.raises(ValueError, match=r"holds records but no run\.json"):
        run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    assert (out / "records.jsonl").read_text() == stored


def test_another_day_is_another_session(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for date in ("2026-01-02", "2026-01-03", "2026-01-03"):
        later = methods()
        for method in later:
            method.about["date"] = date
        run_benchmark(dataset, later, CONFIG, out, ALONE)
    sessions = json.loads((out / "run.json").read_text())["sessions"]
    assert [session["date"] for session in sessions] == ["2026-01-02", "2026-01-03"]


def test_a_folder_of_an_earlier_version_goes_on_and_gets_the_budget(dataset: Dataset, tmp_path: Path) -> None:
    """It has a note about the checkpoint and does not say what it was trained from."""
    out = tmp_path / "out"
    earlier = methods()
    for method in earlier:
        method.about["note"] = "trained longer"
    run_benchmark(dataset, earlier, CONFIG, out, ALONE)
    budget = {"trained_from": "bone", "pictures_seen": 20}
    for pictures, is_refused in ((20, False), (20, False), (30, True)):
        later = methods()
        for method in later:
            method.about |= budget | {"pictures_seen": pictures}
        if is_refused:
            with pytest.raises(ValueError, match=r"methods\.a\.pictures_seen: 20 there, 30 now"):
                run_benchmark(dataset, later, CONFIG, out, ALONE)
        else:
            run_benchmark(dataset, later, CONFIG, out, ALONE)
        assert json.loads((out / "run.json").read_text())["methods"] == {
            label: {"model": "none"} | budget for label in "ab"
        }


def test_a_run_keeps_to_whether_its_seconds_count(dataset: Dataset, tmp_path: Path) -> None:
    """In a folder of an earlier version they counted."""
    out, untimed = tmp_path / "out", replace(CONFIG, seconds=False)
    run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    with pytest.raises(ValueError, match=r"config\.seconds: True there, False now"):
        run_benchmark(dataset, methods(), untimed, out, ALONE)
    about = json.loads((out / "run.json").read_text())
    del about["config"]["seconds"]
    (out / "run.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"config\.seconds: True there, False now"):
        run_benchmark(dataset, methods(), untimed, out, ALONE)
    run_benchmark(dataset, methods(), CONFIG, out, ALONE)
    assert json.loads((out / "run.json").read_text())["config"]["seconds"] is True


@pytest.mark.parametrize(("name", "value"), [("limit", 0), ("warmups", 0), ("seed", -1), ("processes", 0)])
def test_contradictory_settings_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least"):
        RunConfig(**asdict(CONFIG) | {name: value})


def test_shards_become_one_file(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, played one after the other; tests/benchmarks/test_cli.py starts real ones."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    run_benchmark(dataset, methods(), CONFIG, whole, ALONE)
    waits: list[int] = []
    monkeypatch.setattr(Process, "wait_for_all", lambda self: waits.append(self.rank))
    config = replace(CONFIG, processes=2)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(dataset, interrupted(after=1), config, out, Process(0, 2, "cpu"))
    run_benchmark(dataset, methods(), config, out, Process(1, 2, "cpu"))
    assert waits == [0, 1, 1]
    shards = [out / f"records-{rank}-of-2.jsonl" for rank in (0, 1)]
    records, _ = read_records(shards[1:])
    assert [record.sample for record in records[::2]] == [sample.id for sample in dataset.samples[1::2]]
    assert [record.label for record in records] == list("ababbaba")
    assert len(records_of(out)[0]) == 8 + len(read_records(shards[:1])[0]) < 16
    run_benchmark(dataset, methods(), config, out, Process(0, 2, "cpu"))
    assert sorted(path.name for path in out.iterdir()) == ["records.jsonl", "run.json"]
    assert lasting(records_of(out)[0]) == lasting(records_of(whole)[0])


def test_alone_without_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert this_process("auto") == Process(0, 1, "auto")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert this_process("cuda:1") == Process(0, 1, "cuda:1")


def test_every_sample_has_one_process() -> None:
    items = list(range(11))
    shares = [Process(rank, 3, "cpu").share(items) for rank in range(3)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_limit_is_drawn_from_each_split(tmp_path: Path) -> None:
    samples = open_dataset("scenes", ["all"], tiny.write_scenes(tmp_path, per_split=2)).samples
    assert choose_samples(samples, None, 0) == list(samples)
    four = choose_samples(samples, 4, 7)
    assert [sample.split for sample in four] == [split for split in tiny.SPLITS for _ in range(4)]
    places = [samples.index(sample) for sample in four]
    assert places == sorted(places)
    assert places != [*range(4), *range(8, 12), *range(16, 20)]
    assert set(map(samples.index, choose_samples(samples, 2, 7))) < set(places)
    assert choose_samples(samples, 4, 7) == four != choose_samples(samples, 4, 8)
    assert len(choose_samples(samples, 1000, 7)) == len(samples)


def test_samples_of_some_kinds_only(tmp_path: Path) -> None:
    samples = open_dataset("scenes", ["all"], tiny.write_scenes(tmp_path, per_split=2)).samples
    kinds = [sample.kind for sample in samples]
    of_one_kind = choose_samples(samples, None, 0, (kinds[0],))
    assert of_one_kind == [sample for sample in samples if sample.kind == kinds[0]]
    assert 0 < len(of_one_kind) < len(samples)
    assert len(choose_samples(samples, 1, 0, (kinds[0],))) == len(tiny.SPLITS)
    with pytest.raises(ValueError, match=f"no sample is of the kind 'dance'; there are {kinds[0]}, "):
        choose_samples(samples, None, 0, ("dance",))


def test_running_scores(dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_benchmark(dataset, methods(), CONFIG, tmp_path / "out", ALONE)
    records = records_of(tmp_path / "out")[0]
    with Progress(len(records)) as progress:
        for record in records:
            progress.add(record)
    area = [(record.intersection or 0) / record.union for record in records if record.method == "a" and record.union]
    expected = f"gIoU {np.mean(area):.3f}, dialogue 0.500"
    assert progress.scores() == f"a {expected}; b {expected}"
    assert f"a {expected}" in capsys.readouterr().err

"""The budget of a training, read from the records beside a checkpoint, and which methods had an equal one."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.budget import budget_of, equal_budget, read_budget
from benchmarks.checkpoints import ASSETS, BACKBONE, CHECKPOINTS
from benchmarks.fingerprint import checkpoint_sha256
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
UNKNOWN = {"trained_from": None, "pictures_seen": None}


def stage(steps: int, images: int, objective: str = "joint") -> dict[str, Any]:
    return {"steps": steps, "plan": {"images": images}, "objective": objective}


def training(stages: list[dict[str, Any]], at: int, step: int, **more: object) -> dict[str, Any]:
    return {"config": {"stages": stages}, "progress": {"stage": at, "step": step}, **more}


def write(folder: Path, sweep: object = None, record: object = None) -> Path:
    for name, content in (("sweep.json", sweep), ("training.json", record)):
        if content is not None:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("record", "pictures"),
    [
        (training([stage(500, 4)], 0, 500), 2000),
        (training([stage(500, 4)], 0, 500, processes=3), 6000),
        (training([stage(500, 4)], 0, 120), 480),  # stopped
        (training([stage(10, 4), stage(7, 6), stage(100, 9)], 1, 5), 70),  # the third has not begun
        (training([stage(1000, 32, "words"), stage(7, 6)], 1, 7), 42),  # words have no pictures
        (training([stage(10, 4)], 0, 10, earlier=[training([stage(900, 9)], 0, 900)]), 40),  # before the backbone
    ],
)
def test_pictures_are_those_of_the_steps_that_were_done(tmp_path: Path, record: Any, pictures: int) -> None:
    folder = write(tmp_path, {"backbone": "some/where/bone"}, record)
    assert read_budget(folder) == {"trained_from": "bone", "pictures_seen": pictures}


@pytest.mark.parametrize(
    ("sweep", "record", "start"),
    [
        (None, None, None),
        (None, training([stage(5, 4)], 0, 5), None),  # from where is unknown, so the number compares with nothing
        ({"backbone": "bone"}, None, "bone"),
        ({"backbone": "bone"}, {"steps": 3}, "bone"),
        ({"backbone": "bone"}, "[1", "bone"),
        ({"rates": [1]}, training([stage(5, 4)], 0, 5), None),
        ([1], training([stage(5, 4)], 0, 5), None),
    ],
)
def test_what_no_record_says_is_unknown(tmp_path: Path, sweep: object, record: object, start: str | None) -> None:
    assert read_budget(write(tmp_path, sweep, record)) == {"trained_from": start, "pictures_seen": None}


def test_the_equal_budget_is_that_of_most_checkpoints() -> None:
    small, large = {"trained_from": "bone", "pictures_seen": 20}, {"trained_from": "bone", "pictures_seen": 90}
    other = {"trained_from": "another", "pictures_seen": 20}
    assert equal_budget({"a": large, "b": small, "c": UNKNOWN, "d": other, "e": small}) == ("bone", 20)
    assert equal_budget({"a": large, "b": small}) == ("bone", 90)
    assert equal_budget({"a": UNKNOWN, "b": {}, "c": small | {"pictures_seen": None}}) is None
    assert budget_of({}) is None
    one = large | {"checkpoint_sha256": "x"}  # variants do not outvote other methods
    assert equal_budget({"a": one, "a:int8": one, "a:nf4": one, "b": small, "c": small}) == ("bone", 20)


def test_the_checkpoints_of_the_comparison_have_an_equal_budget() -> None:
    """The last point of each learning curve has the same number of pictures."""
    present = {method: ASSETS / name for method, name in CHECKPOINTS.items() if (ASSETS / name).is_dir()}
    assert present.keys() >= {"stamp", "polygon", "patch_text", "embedding", BACKBONE}
    folders = [folder for method, folder in present.items() if method != BACKBONE]
    budgets = [read_budget(folder) for folder in folders]
    assert budgets == [budgets[0]] * len(folders)
    assert budgets[0]["trained_from"] == CHECKPOINTS[BACKBONE]
    for folder, budget in zip(folders, budgets, strict=True):
        points = [json.loads(line)["pictures"] for line in (folder / "curve.jsonl").read_text().splitlines()]
        assert budget["pictures_seen"] == max(points)
    assert read_budget(EMBEDDED_CHECKPOINT) == read_budget(ASSETS / CHECKPOINTS[BACKBONE]) == UNKNOWN


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/run.json")), ids=lambda path: str(path.parent.name))
def test_committed_runs_have_the_budgets_of_their_checkpoints(path: Path) -> None:
    """Of those that are still in `assets/`, by their hash."""
    kept = {
        checkpoint_sha256(folder): folder
        for folder in (EMBEDDED_CHECKPOINT, *map(ASSETS.joinpath, CHECKPOINTS.values()))
        if folder.is_dir()
    }
    for about in json.loads(path.read_text())["methods"].values():
        recorded = {name: about[name] for name in UNKNOWN}
        if (folder := kept.get(about["checkpoint_sha256"])) is not None:
            assert recorded == read_budget(folder)

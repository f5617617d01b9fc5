"""Runs that a checkpoint came from."""

import json
from pathlib import Path

from stamp.training.learning.lineage import lineage


def write(path: Path, **record: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def test_each_earlier_run_stands_once_and_the_first_one_first(tmp_path: Path) -> None:
    write(tmp_path / "shipped" / "training.json", run="shipped")
    write(tmp_path / "eyes" / "training.json", run="eyes", earlier=[{"run": "shipped"}])
    write(tmp_path / "words" / "training.json", run="words", earlier=[{"run": "shipped"}])
    (tmp_path / "eyes" / "model").mkdir()
    found = lineage(None, tmp_path / "words", tmp_path / "eyes" / "model", tmp_path / "unknown" / "model")
    assert [run["run"] for run in found] == ["shipped", "words", "eyes"]
    assert not any("earlier" in run for run in found)

"""Free memory: the machine's, or what is left of a container's limit (files of cgroup v2)."""

from pathlib import Path

import pytest

from stamp.checkpoints import free_memory as module
from stamp.checkpoints.free_memory import free_memory


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 9000),  # no control group, as on Windows
        ({"memory.max": "max\n"}, 9000),
        ({"memory.max": "5000\n"}, 5000 - 3000 + 700),
        ({"memory.max": "20000\n"}, 9000),  # more than the machine has
        ({"memory.max": "2000\n"}, 0),
        ({"memory.max": "5000\n", "memory.stat": "anon 1\n"}, 9000),  # not as expected
    ],
)
def test_the_limit_of_a_container_counts(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = type("Memory", (), {"available": 9000})()
    monkeypatch.setattr("stamp.checkpoints.free_memory.psutil.virtual_memory", lambda: memory)
    monkeypatch.setattr(module, "CGROUP", tmp_path)
    monkeypatch.setattr(module, "MINE", tmp_path / "none")
    if files:
        files = {"memory.current": "3000\n", "memory.stat": "anon 1\ninactive_file 700\nfile 900\n"} | files
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert free_memory() == expected


@pytest.mark.parametrize(
    ("mine", "expected"),
    [
        ("0::/slurm/job_7/step_0\n", 400),  # the job's limit holds for its steps
        ("0::/slurm\n", 5000),
        ("12:memory:/slurm/job_7\n0::/\n", 9000),  # cgroup v1 is not read
        ("0::/elsewhere\n", 9000),
    ],
)
def test_the_limit_of_a_service_or_of_a_cluster_job_counts(
    mine: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = type("Memory", (), {"available": 9000})()
    monkeypatch.setattr("stamp.checkpoints.free_memory.psutil.virtual_memory", lambda: memory)
    monkeypatch.setattr(module, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(module, "MINE", tmp_path / "mine")
    (tmp_path / "mine").write_text(mine)
    for group, most in (("slurm", "6000"), ("slurm/job_7", "1400"), ("slurm/job_7/step_0", "max")):
        folder = tmp_path / "cgroup" / group
        folder.mkdir(parents=True)
        for name, text in (("memory.max", most), ("memory.current", "1000"), ("memory.stat", "inactive_file 0")):
            (folder / name).write_text(f"{text}\n")
    assert free_memory() == expected

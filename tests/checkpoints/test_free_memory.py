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
    if files:
        files = {"memory.current": "3000\n", "memory.stat": "anon 1\ninactive_file 700\nfile 900\n"} | files
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert free_memory() == expected

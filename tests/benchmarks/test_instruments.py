"""Readings of memory on systems that differ: Linux, macOS, and Windows, which has no module `resource`."""

import ast
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import instruments

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
#: Modules of the standard library that Windows lacks.
UNIX = {"curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}


@pytest.mark.parametrize("package", ["stamp", "benchmarks", "demo"])
def test_no_module_needs_unix_to_be_imported(package: str) -> None:
    """Such modules are imported where they are used, behind a check or a fallback."""
    needing = []
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            needing += [f"{path.name}: {name}" for name in names if name in UNIX]
    assert needing == []


def test_windows_counts_the_peak_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(rss=5, peak_wset=7)
    monkeypatch.setattr(instruments, "Path", lambda _: SimpleNamespace(exists=lambda: False))
    monkeypatch.setattr("benchmarks.instruments.psutil.Process", lambda: SimpleNamespace(memory_info=lambda: memory))
    monkeypatch.setitem(sys.modules, "resource", None)
    assert (instruments.resident_bytes(CPU), instruments.peak_bytes(CPU)) == (5, 7)


@pytest.mark.parametrize(("system", "unit"), [("darwin", 1), ("freebsd", 1024)])
def test_other_systems_are_asked_in_their_units(monkeypatch: pytest.MonkeyPatch, system: str, unit: int) -> None:
    usage: Any = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: SimpleNamespace(ru_maxrss=9))
    monkeypatch.setattr(instruments, "Path", lambda _: SimpleNamespace(exists=lambda: False))
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setitem(sys.modules, "resource", usage)
    assert instruments.peak_bytes(CPU) == 9 * unit

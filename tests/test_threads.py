"""Every entry point says how torch's threads wait, before torch is imported, unless the host has said so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENTRIES = ("app", "stamp.__main__", "benchmarks.__main__", "stamp.training.__main__")
CODE = """
import os, sys, {entry} as entry
try:
    entry.main(["--help"])
except SystemExit:
    print("\\n" + os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
"""


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(("of_the_host", "in_effect"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_entries_set_the_policy_before_torch(entry: str, of_the_host: str | None, in_effect: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if of_the_host is not None:
        environment["OMP_WAIT_POLICY"] = of_the_host
    command = [sys.executable, "-c", CODE.format(entry=entry)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == f"{in_effect} False"


def test_the_tests_and_their_script_set_it() -> None:
    assert "OMP_WAIT_POLICY" in os.environ
    assert 'export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"\n' in (ROOT / ".ci" / "run").read_text()

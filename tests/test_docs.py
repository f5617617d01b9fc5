"""The documents' tables are made from the records beside them, and they name what is there."""

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import build_parser
from benchmarks.datasets import READERS
from benchmarks.footprint import footprint_table, read_footprints
from benchmarks.methods import MAKERS
from benchmarks.metrics import CONVENTIONS
from benchmarks.scores import SCORES

ROOT = Path(__file__).parent.parent
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text()


def test_the_footprints_are_those_measured() -> None:
    rows = read_footprints(ROOT / "benchmarks" / "results" / "footprints.jsonl")
    assert footprint_table(rows) in (ROOT / "docs" / "published_checkpoints.md").read_text()


@pytest.mark.parametrize("name", [*READERS, *MAKERS, *CONVENTIONS])
def test_the_benchmarks_readme_names(name: str) -> None:
    assert f"`{name}`" in BENCHMARKS or f" {name} " in BENCHMARKS


def test_the_benchmarks_readme_explains_every_score() -> None:
    cells = re.findall(r"^\| (.*?) \|", BENCHMARKS, flags=re.MULTILINE)
    assert set(SCORES) <= {name for cell in cells for name in cell.split(", ")}


def test_the_commands_of_the_benchmarks_readme_are_parsed() -> None:
    commands = re.findall(r"^python -m benchmarks (.*?)(?: *#.*)?$", BENCHMARKS, flags=re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        build_parser().parse_args(command.split())
    named = set(re.findall(r"`python -m benchmarks (\w+)`", BENCHMARKS))
    for command in named:
        assert command in build_parser().format_help()
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", BENCHMARKS)
    assert all((ROOT / "benchmarks" / target).exists() for target in targets)
    assert not re.search(r"(?<![\w.])/(work|home|root|tmp|opt)/", BENCHMARKS)

"""The documents' tables are made from the records beside them."""

from pathlib import Path

from benchmarks.footprint import footprint_table, read_footprints

ROOT = Path(__file__).parent.parent


def test_the_footprints_are_those_measured() -> None:
    rows = read_footprints(ROOT / "benchmarks" / "results" / "footprints.jsonl")
    assert footprint_table(rows) in (ROOT / "docs" / "published_checkpoints.md").read_text()

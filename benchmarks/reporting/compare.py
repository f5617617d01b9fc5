"""Compares two runs: which of their scores differ, and by how much."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reporting.report import rows_of
from benchmarks.reporting.report_table import UNKNOWN, markdown
from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.records import Record, records_of
from benchmarks.scoring.scores import SCORES, scores_of

Row = tuple[str, str, str]
#: Runs on different samples always differ, whatever the tolerance.
COUNTS = ("samples", "errors")
#: How many samples a run has that the other lacks; only given where one has some.
OWN = "samples of its own"


@dataclass(frozen=True)
class Difference:
    """One score of one row (dataset, split, method) in two runs; None if a run does not have it."""

    row: Row
    score: str
    a: float | None
    b: float | None

    def exceeds(self, tolerance: float) -> bool:
        """Whether the runs differ by more than the tolerance.

        Other samples, unequal counts and scores of only one run always do.
        """
        if self.score == OWN:
            return True
        if self.a is None or self.b is None or self.score in COUNTS:
            return self.a != self.b
        return abs(self.a - self.b) > tolerance


def compare_runs(a: Path, b: Path) -> list[Difference]:
    """Every score that either run has, and its number of samples. Latency is not compared.

    Raises ValueError when a folder holds no records.
    """
    runs = _rows(a), _rows(b)
    first, second = map(_values, runs)
    keys = dict.fromkeys([*first, *second])
    found = [Difference(row, score, first.get((row, score)), second.get((row, score))) for row, score in keys]
    return [*_other_samples(*runs), *found]


def _rows(folder: Path) -> dict[Row, list[Record]]:
    records, problems = records_of(folder)
    if problems:
        raise ValueError(f"{folder} has records that cannot be read: {problems[0]}.")
    return rows_of(records)


def _other_samples(a: dict[Row, list[Record]], b: dict[Row, list[Record]]) -> Iterator[Difference]:
    """Of rows that both runs have."""
    for row in sorted(a.keys() & b.keys()):
        first, second = ({record.sample for record in run[row]} for run in (a, b))
        if first != second:
            yield Difference(row, OWN, len(first - second), len(second - first))


def _values(rows: dict[Row, list[Record]]) -> dict[tuple[Row, str], float]:
    values: dict[tuple[Row, str], float] = {}
    for row, own in rows.items():
        values[row, "samples"] = len(own)
        values[row, "errors"] = sum(record.status == "error" for record in own)
        for name, score in scores_of(own, CONVENTIONS["ours"], draws=0).items():
            if score is not None and score.value is not None:
                values[row, name] = score.value
    order = (*COUNTS, *SCORES)
    return {key: values[key] for key in sorted(values, key=lambda key: (key[0], order.index(key[1])))}


def compare_table(differences: list[Difference], tolerance: float) -> str:
    """Markdown, one line per score; differences above `tolerance` are marked."""
    rows = []
    for one in differences:
        delta = UNKNOWN if one.a is None or one.b is None else f"{one.b - one.a:+.6g}"
        values = [UNKNOWN if value is None else f"{value:.6g}" for value in (one.a, one.b)]
        rows.append([*one.row, one.score, *values, delta, "differs" if one.exceeds(tolerance) else ""])
    return markdown(("dataset", "split", "method", "score", "A", "B", "B - A", ""), rows, 4)

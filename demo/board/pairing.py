"""Pairs of the methods in a view: who is significantly better, on the same requests of the same run."""

from collections.abc import Iterable

import pandas as pd

from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.pairs import Pairs, compare_pairs
from benchmarks.scoring.records import Record
from demo.board.filters import Filters, mixture
from demo.board.results import ALL, Results
from demo.board.stored_report import CONVENTION


def pairs_of(results: Results, filters: Filters, rows: pd.DataFrame) -> Pairs:
    """Pairs by label for these labelled rows; none if the rows come from several workloads."""
    if rows.empty or mixture(rows) or rows["method"].duplicated().any():
        return {}
    labels = dict(zip(rows["method"], rows["label"], strict=True))
    wanted = {(row["run"], row["dataset"], row["split"], row["method"]) for _, row in rows.iterrows()}
    answers: dict[str, list[Record]] = {label: [] for label in labels.values()}
    for run in results.runs:
        for record in run.records:
            key = (run.name, record.dataset, record.split, record.label)
            if key in wanted and filters.kind in (ALL, record.kind):
                answers[labels[record.label]].append(record)
    return compare_pairs(answers, CONVENTIONS[CONVENTION])


def is_better(pairs: Pairs, score: str, a: str, b: str) -> bool:
    """Whether a is significantly better than b."""
    pair = pairs.get(score, {}).get((a, b))
    return pair is not None and pair.is_decided and (pair.probability or 0) > 0.5


def are_compared(pairs: Pairs, score: str, label: str, labels: Iterable[str]) -> bool:
    """Whether a method has a pair with each of the others; without one, nobody knows which is better."""
    return all((label, other) in pairs.get(score, {}) for other in labels if other != label)


def tied_with(pairs: Pairs, score: str, best: str, labels: list[str]) -> list[str]:
    """Those of the labels that the best one was compared with and is not significantly better than."""
    found = pairs.get(score, {})
    return [label for label in labels if (best, label) in found and not is_better(pairs, score, best, label)]


def equal_to(rows: pd.DataFrame, score: str, value: float) -> list[str]:
    """Labels of the rows with exactly this score."""
    return list(rows.loc[rows[score] == value, "label"])


def best_of(rows: pd.DataFrame, score: str, *, lowest: bool = False) -> "pd.Series[object]":
    """The row with the highest, or the lowest, score. Ignores rows without a score; at least one must have one."""
    known = rows[score].dropna().astype(float)
    return rows.loc[known.idxmin() if lowest else known.idxmax()]

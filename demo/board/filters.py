"""Which results the tab shows: filters, checked against the data, and their form in the URL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from demo.board.names import method_name, name_of
from demo.board.results import ALL, Results
from demo.html import and_list

#: What a row asks of the methods; rows that differ in one of these are not comparable.
WORKLOAD = {
    "dataset": "datasets", "data": "versions of the data", "split": "splits", "n": "numbers of samples",
    "questions": "numbers of questions", "seed": "draws of samples",
}  # fmt: skip
#: What the times were measured on.
MACHINE = {"hardware": "machines", "threads": "numbers of threads"}


@dataclass(frozen=True)
class Filters:
    """A choice for each filter; "all" leaves everything in. methods: none is all of them. run: name of a folder."""

    dataset: str = ALL
    split: str = ALL
    kind: str = ALL
    precision: str = ALL
    hardware: str = ALL
    methods: tuple[str, ...] = ()
    run: str = ALL

    def query(self) -> str:
        """The query part of the URL, without default values."""
        pairs = [("tab", "benchmark")]
        pairs += [(name, value) for name in SINGLE if (value := getattr(self, name)) != ALL]
        return urlencode(pairs + [("method", method) for method in self.methods])


#: The filters with one value, in their order on the page.
SINGLE = tuple(one.name for one in fields(Filters) if one.name != "methods")


@dataclass(frozen=True)
class Choices:
    """What can be chosen, by the name of the filter, "all" first where there is more than one value."""

    dataset: list[str]
    split: list[str]
    kind: list[str]
    precision: list[str]
    hardware: list[str]
    methods: list[str]
    run: list[str]


def choices_of(results: Results, dataset: str = ALL) -> Choices:
    """Values in the results; all except the datasets are restricted to the chosen dataset."""
    rows = results.rows
    own = rows[rows["dataset"] == dataset] if dataset in set(rows["dataset"]) else rows
    kinds = list(dict.fromkeys(own["kind"]))
    return Choices(
        dataset=_with_all(rows["dataset"]),
        split=_with_all(own["split"]),
        kind=[ALL, *sorted(set(kinds) - {ALL})],
        precision=_with_all(own["precision"]),
        hardware=_with_all(own["hardware"]),
        methods=list(dict.fromkeys(own["method"])),
        run=_with_all(own["run"]),
    )


def _with_all(values: "Iterable[str | None]") -> list[str]:
    return [ALL, *dict.fromkeys(value for value in values if isinstance(value, str))]


def chosen(values: Sequence[Any]) -> Filters:
    """The filters from the values of their components, in the order of SINGLE and then the methods.

    A request may send anything; what is not text counts as not chosen.
    """
    named = zip(SINGLE, values[:-1], strict=True)
    single: dict[str, Any] = {name: value for name, value in named if value and isinstance(value, str)}
    methods = values[-1] if isinstance(values[-1], list | tuple) else ()
    return Filters(**single, methods=tuple(method for method in methods if isinstance(method, str)))


def default_filters(results: Results) -> Filters:
    """One run (that of the most records), dataset and split, so that the first view compares like with like."""
    rows = results.rows
    if rows.empty:
        return Filters()
    largest = max(results.runs, key=lambda run: len(run.records)).name
    first = rows[rows["run"] == largest].iloc[0]
    return Filters(first["dataset"], first["split"], run=largest if len(results.runs) > 1 else ALL)


def checked(filters: Filters, results: Results) -> tuple[Filters, list[str]]:
    """(the filters, with values that are not in the results reset to the default; the names of those)."""
    dropped: list[str] = []
    known = choices_of(results, filters.dataset)
    for name in SINGLE:
        if getattr(filters, name) not in getattr(known, name):
            changes: dict[str, Any] = {name: ALL}
            filters = replace(filters, **changes)
            dropped.append(name)
    methods = tuple(method for method in known.methods if method in filters.methods)
    if len(methods) < len(filters.methods):
        dropped.append("method")
    return replace(filters, methods=methods), dropped


def from_query(query: Mapping[str, list[str]], results: Results) -> tuple[Filters, list[str]]:
    """`checked` filters from a URL; the default ones if it names none."""
    if not any(name in query for name in (*SINGLE, "method")):
        return default_filters(results), []
    given = {name: query[name][0] for name in SINGLE if query.get(name)}
    return checked(Filters(**given, methods=tuple(query.get("method", ()))), results)


def rows_of(filters: Filters, results: Results) -> pd.DataFrame:
    """The rows that are shown: those of one kind, or those about all kinds together."""
    rows = results.rows
    return _filtered(filters, rows[rows["kind"] == filters.kind])


def samples_of(filters: Filters, results: Results) -> pd.DataFrame:
    """The samples behind these rows."""
    samples = results.samples
    return _filtered(filters, samples if filters.kind == ALL else samples[samples["kind"] == filters.kind])


def _filtered(filters: Filters, frame: pd.DataFrame) -> pd.DataFrame:
    keep = pd.Series(True, index=frame.index)
    for name in ("dataset", "split", "precision", "hardware", "run"):
        if (value := getattr(filters, name)) != ALL:
            keep &= frame[name] == value
    if filters.methods:
        keep &= frame["method"].isin(filters.methods)
    return frame[keep]


def mixture(rows: pd.DataFrame) -> str:
    """A sentence that says which rows are not comparable, and why; empty if all are.

    A method that was not asked for masks, such as the backbone, is shown for its dialogue scores, and the reverse.
    """
    rows = rows.assign(**{name: rows[name].replace(0, rows[name].max()) for name in ("n", "questions")})
    work = [words for name, words in WORKLOAD.items() if rows[name].nunique(dropna=False) > 1]
    machine = [words for name, words in MACHINE.items() if rows[name].nunique(dropna=False) > 1]
    parts = []
    if work:
        parts.append(f"These rows have different {and_list(work)}, so their scores and seconds cannot be compared.")
    if machine:
        parts.append(f"They were measured on different {and_list(machine)}, so their seconds cannot be compared.")
    return " ".join(parts)


def with_labels(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column "label": the method, plus whatever distinguishes rows of one method."""
    parts = [name for name in ("dataset", "split", "hardware", "run") if frame[name].nunique(dropna=False) > 1]
    if "run" in parts and not frame.duplicated(["method", *parts[:-1]]).any():
        parts.remove("run")
    label = frame["method"].astype(str).map(method_name)
    for name in parts:
        label = label + " · " + frame[name].fillna("unknown").astype(str).map(partial(name_of, name))
    return frame.assign(label=label)

"""Filters: what the address says is checked, comes back, and rows that cannot be compared are called so."""

from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pandas as pd
import pytest

from demo.board.filters import (
    Filters,
    checked,
    choices_of,
    chosen,
    default_filters,
    from_query,
    mixture,
    rows_of,
    samples_of,
    with_labels,
)
from demo.board.results import Results, read_results
from tests.demo.runs import write_run


def test_choices_are_what_is_there(results: Results) -> None:
    choices = choices_of(results)
    assert choices.dataset == ["all", "scenes"]
    assert choices.split == ["all", "known", "style", "background"]
    assert choices.kind == ["all", "count", "exists", "segment", "segment_absent"]
    assert choices.hardware == ["all", "a test machine"]
    assert set(choices.methods) == {"stamp", "polygon", "patch_text"}


def test_the_first_view_is_of_one_workload(results: Results) -> None:
    filters = default_filters(results)
    assert (filters.dataset, filters.split) == ("scenes", "known")
    assert mixture(rows_of(filters, results)) == ""
    assert default_filters(Results()) == Filters()


def test_the_first_view_is_of_the_largest_run(tmp_path: Path) -> None:
    """And every view is of that run until another one, or all, is chosen."""
    write_run(tmp_path / "a", tmp_path / "data", ("stamp",))
    write_run(tmp_path / "b", tmp_path / "data", ("stamp", "polygon"))
    both = read_results(tmp_path)
    filters = default_filters(both)
    assert (filters.run, filters.split) == ("b", "known")
    assert list(rows_of(filters, both)["method"]) == ["polygon", "stamp"]
    assert set(samples_of(filters, both)["run"]) == {"b"}
    assert len(rows_of(replace(filters, run="all"), both)) == 3
    assert from_query(parse_qs(filters.query()), both) == (filters, [])
    assert checked(replace(filters, run="c"), both) == (replace(filters, run="all"), ["run"])


@pytest.mark.parametrize(
    "filters",
    [
        Filters("scenes", "style"),
        Filters("scenes", "known", "segment", "float32", "a test machine", ("patch_text", "stamp")),
    ],
)
def test_a_view_comes_back_from_its_address(results: Results, filters: Filters) -> None:
    assert from_query(parse_qs(filters.query()), results) == (filters, [])


def test_an_address_with_unknown_values_is_told_so_and_harmless(results: Results) -> None:
    query = {"split": ["<script>"], "method": ["stamp", "../../etc/passwd"], "kind": ["segment"], "tab": ["benchmark"]}
    filters, dropped = from_query(query, results)
    assert filters == Filters(kind="segment", methods=("stamp",))
    assert dropped == ["split", "method"]


def test_an_address_without_filters_is_the_first_view(results: Results) -> None:
    assert from_query({"tab": ["benchmark"]}, results) == (default_filters(results), [])


def test_components_in_order_become_filters() -> None:
    assert chosen(("a", "b", "c", None, "e", "r", ["m"])) == Filters("a", "b", "c", "all", "e", ("m",), "r")


def test_a_split_of_another_dataset_falls_back(results: Results) -> None:
    assert checked(Filters("scenes", "testA"), results) == (Filters("scenes"), ["split"])


def test_rows_and_samples_of_a_view(results: Results) -> None:
    filters = Filters("scenes", "style", methods=("stamp",))
    rows, samples = rows_of(filters, results), samples_of(filters, results)
    assert list(rows["method"]) == ["stamp"]
    assert set(samples["split"]) == {"style"}
    assert len(samples) == rows["n"].iloc[0] + rows["questions"].iloc[0]
    of_kind = Filters("scenes", "style", "segment", methods=("stamp",))
    assert set(samples_of(of_kind, results)["kind"]) == {"segment"}
    assert list(rows_of(of_kind, results)["kind"]) == ["segment"]


def row(**changes: object) -> dict[str, object]:
    base = {"dataset": "scenes", "data": "abc", "split": "known", "n": 5, "questions": 4, "seed": 0, "hardware": "cpu"}
    return {**base, "threads": 1, "run": "r", "method": "stamp", **changes}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({}, None),
        ({"split": "style"}, "different splits, so their scores and seconds cannot be compared"),
        ({"n": 6}, "different numbers of samples"),
        ({"n": 0}, None),  # a method that is only asked questions
        ({"questions": 3}, "different numbers of questions"),
        ({"questions": 0}, None),
        ({"seed": 1}, "different draws of samples"),
        ({"data": "def"}, "different versions of the data"),
        ({"hardware": "gpu"}, "different machines, so their seconds cannot be compared"),
        ({"threads": 2, "split": "style"}, "different numbers of threads"),
        ({"hardware": None}, "different machines"),
    ],
)
def test_rows_of_different_work_are_not_compared_in_silence(other: dict[str, object], words: str | None) -> None:
    said = mixture(pd.DataFrame([row(), row(method="polygon", **other)]))
    assert words in said if words else said == ""


def test_labels_tell_rows_apart() -> None:
    frame = pd.DataFrame([row(), row(split="style"), row(split="style", method="polygon")])
    assert list(with_labels(frame)["label"]) == [
        "STAMP · Familiar drawings", "STAMP · Unseen styles", "Polygon text · Unseen styles",
    ]  # fmt: skip
    twice = pd.DataFrame([row(), row(run="again")])
    assert list(with_labels(twice)["label"]) == ["STAMP · r", "STAMP · again"]
    assert list(with_labels(pd.DataFrame([row(), row(method="polygon")]))["label"]) == ["STAMP", "Polygon text"]


#: Two values of each filter, so that every one of them can tell half of the rows from the other half.
VALUES = {
    "dataset": ("scenes", "refcoco"),
    "split": ("known", "style"),
    "kind": ("segment", "count"),
    "precision": ("float32", "nf4"),
    "hardware": ("cpu", "gpu"),
    "run": ("first", "second"),
    "method": ("stamp", "polygon"),
}


@pytest.fixture(scope="module")
def every() -> Any:
    """Results with one row, and one sample, for each combination of these values."""
    frame = pd.DataFrame(list(product(*VALUES.values())), columns=list(VALUES))
    about_all = frame.drop(columns="kind").drop_duplicates().assign(kind="all")
    return SimpleNamespace(rows=pd.concat([frame, about_all], ignore_index=True), samples=frame, runs=())


@pytest.mark.parametrize("name", [name for name in VALUES if name != "method"])
def test_each_filter_leaves_exactly_what_has_its_value(every: Any, name: str) -> None:
    for value in VALUES[name]:
        filters = Filters(**asdict(Filters()) | {name: value})
        for shown, whole in ((samples_of(filters, every), every.samples), (rows_of(filters, every), every.rows)):
            expected = [i for i, row in whole.iterrows() if row[name] == value]
            if whole is every.rows and name != "kind":
                expected = [i for i in expected if whole.loc[i, "kind"] == "all"]
            assert list(shown.index) == expected
            assert len(shown) == len(expected) > 0


def test_filters_together_leave_what_has_all_their_values(every: Any) -> None:
    filters = Filters("scenes", "style", "count", "nf4", "gpu", ("polygon",), "first")
    (found,) = rows_of(filters, every).to_dict("records")
    assert found == {
        "dataset": "scenes",
        "split": "style",
        "kind": "count",
        "precision": "nf4",
        "hardware": "gpu",
        "run": "first",
        "method": "polygon",
    }
    assert samples_of(filters, every).to_dict("records") == [found]


def test_methods_are_chosen_one_or_several_and_none_is_all(every: Any) -> None:
    def methods(*chosen_: str) -> set[str]:
        return set(samples_of(Filters(methods=chosen_), every)["method"])

    assert (methods("stamp"), methods("stamp", "polygon"), methods()) == (
        {"stamp"},
        {"stamp", "polygon"},
        {"stamp", "polygon"},
    )


def test_every_filter_is_offered_and_comes_back_from_the_components() -> None:
    given = ["scenes", "", None, "nf4", "cpu", "first", ["stamp"]]
    assert chosen(given) == Filters("scenes", "all", "all", "nf4", "cpu", ("stamp",), "first")
    assert chosen(["all"] * 6 + [None]) == Filters()

"""The table of answers a second: what the file says, hidden without one, named if it cannot be read."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from demo.board.dashboard import board_view
from demo.board.filters import Filters
from demo.board.results import Results, ResultStore, read_results
from demo.board.throughput import read_throughput, takeaway, throughput_html

RECORD: dict[str, Any] = {
    "provenance": {
        "n": 4, "samples": 24, "busy_before": 0.97, "hardware": "a <machine>", "dtype": "float32", "threads": 2,
        "date": "2026-01-02", "commit": "abc", "uncommitted_changes": True,
    },
    "methods": {
        "stamp": {
            "answers_per_s": {
                "1": {"median": 2.0, "least": 1.5, "most": 2.5}, "8": {"median": 5.0, "least": 4.0, "most": 6.0}
            },
            "ratio": {"median": 2.5, "least": 1.6, "most": 4.0},
            "errors": 0,
        },
        "polygon": {
            "answers_per_s": {
                "1": {"median": 0.25, "least": 0.2, "most": 0.3}, "8": {"median": 0.5, "least": 0.5, "most": 0.5}
            },
            "ratio": {"median": None, "least": None, "most": None},
            "errors": 3,
        },
    },
}  # fmt: skip


def test_the_table_has_every_figure_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "throughput.json").write_text(json.dumps(RECORD))
    results = read_results(tmp_path)
    assert (results.throughput, results.problems) == (RECORD, ())
    html = throughput_html(results.throughput)
    table = re.search("<table.*</table>", html, re.DOTALL)
    assert table
    lines = [["".join(cell.itertext()) for cell in line] for line in ElementTree.fromstring(table[0]).iter("tr")]
    assert lines == [
        ["Method", "1 in flight", "8 in flight", "Ratio 8 to 1"],
        ["STAMP", "21.5 to 2.5", "54 to 6", "2.51.6 to 4"],
        ["Polygon text", "0.250.2 to 0.3", "0.50.5 to 0.5", "–– to –"],
    ]
    assert (
        "4 rounds of 24 requests; a &lt;machine&gt;, float32, 2 threads; 2026-01-02, commit abc with uncommitted "
        "changes. Measured beside a busy process: 97% of the machine was in use before, so all seconds are "
        "pessimistic. Requests without an answer: 3 of Polygon text."
    ) in html
    assert takeaway(RECORD) == (
        "STAMP has the highest throughput with 8 requests in flight: 5 answers per second, "
        "2.5 times as many as one at a time."
    )


def test_a_method_of_a_file_is_never_markup() -> None:
    odd = RECORD | {"methods": {"<img src=x>": RECORD["methods"]["polygon"]}}
    assert "<img" not in throughput_html(odd)


def test_it_is_shown_where_there_is_a_file_and_hidden_elsewhere() -> None:
    for results in (Results(), Results(throughput=RECORD)):
        shown = board_view(results, Filters(), [])
        assert shown["throughput_card"].visible is (results.throughput is not None)
        assert shown["throughput"] == throughput_html(results.throughput)
    assert throughput_html(None) == throughput_html(RECORD | {"methods": {}}) == ""


def changed(**values: Any) -> str:
    return json.dumps(RECORD | values)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "it is not JSON."),
        ("[" * 100_000, "it is not JSON."),
        ("[1]", "Input should be"),
        (changed(methods=[]), "methods: Input should be"),
        (changed(methods={"stamp": 5}), "methods.stamp: "),
        (changed(provenance={}), "provenance.n: Field required."),
        (changed(methods={"stamp": RECORD["methods"]["stamp"] | {"ratio": "much"}}), "methods.stamp.ratio: "),
        (
            changed(methods={"stamp": RECORD["methods"]["stamp"] | {"answers_per_s": {}}}),
            "stamp has no figures for 1 and 8",
        ),
    ],
)
def test_a_file_of_another_shape_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "throughput.json").write_text(text)
    results = read_results(tmp_path)
    (found,) = results.problems
    assert found.startswith("throughput.json cannot be shown: ")
    assert problem in found
    assert results.throughput is None
    with pytest.raises(ValueError):
        read_throughput(tmp_path)


def test_a_new_file_is_noticed(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    assert store.get().throughput is None
    (tmp_path / "throughput.json").write_text(json.dumps(RECORD))
    assert store.get().throughput == RECORD

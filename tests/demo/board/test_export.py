"""The downloads hold the rows that are shown, unrounded."""

import base64
import io
import json
import re

import pandas as pd
import pytest

from demo.board.export import download_links, to_csv, to_json
from demo.board.filters import Filters, rows_of
from demo.board.results import FIGURES, Results


@pytest.mark.parametrize("filters", [Filters("scenes", "known"), Filters(), Filters("scenes", kind="segment")])
def test_csv_and_json_parse_back_to_the_rows(results: Results, filters: Filters) -> None:
    rows = rows_of(filters, results)
    parsed = pd.read_csv(io.StringIO(to_csv(rows)))
    for name in FIGURES:
        assert list(parsed[name]) == pytest.approx(list(rows[name]), rel=1e-12, nan_ok=True)
    records = json.loads(to_json(rows))
    assert [record["method"] for record in records] == list(rows["method"])
    for name in FIGURES:
        read = [float("nan") if record[name] is None else record[name] for record in records]
        assert read == pytest.approx(list(rows[name]), rel=1e-12, nan_ok=True)
    assert {record["phase s: decode"] for record in records if record["n"]} == {0.02}


def test_links_hold_the_files(results: Results) -> None:
    rows = rows_of(Filters("scenes", "known"), results)
    found = re.findall(r'download="([^"]+)" href="data:[^;]+;base64,([^"]+)"', download_links(rows))
    assert {name: base64.b64decode(data).decode() for name, data in found} == {
        "stamp-benchmark.csv": to_csv(rows),
        "stamp-benchmark.json": to_json(rows),
    }
    assert download_links(rows.iloc[:0]) == ""

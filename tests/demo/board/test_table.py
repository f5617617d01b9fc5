"""The table and its downloads: the same figures, unrounded in the files."""

import base64
import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from demo.board.filters import Filters, rows_of
from demo.board.results import Results
from demo.board.table import JUDGED, best_cells, download_links, shown_table, styled_table, to_csv, to_json


def test_cells_are_words_with_intervals_and_dashes(results: Results) -> None:
    rows = rows_of(Filters("scenes", "known"), results)
    table = shown_table(rows)
    for (_, cells), (_, row) in zip(table.iterrows(), rows.iterrows(), strict=True):
        assert cells["gIoU"] == f"{row['gIoU']:.3f} [{row['gIoU low']:.3f}, {row['gIoU high']:.3f}]"
        assert cells["peak MB"] == "–"
        assert cells["hardware"] == "a test machine"
        assert cells["n"] == str(row["n"])
    assert {"split", "note"}.isdisjoint(table.columns)
    assert list(shown_table(rows.assign(note=["longer", None, None]))["note"]) == ["longer", "–", "–"]
    assert "split" in shown_table(rows_of(Filters(), results)).columns
    assert "dialogue before" not in table.columns


def test_dialogue_before_mask_training_is_shown_where_it_is_known(results: Results) -> None:
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    run = results.runs[0]
    reported = [row | {"before": {"dialogue": interval, "change": None}} for row in run.report["rows"]]
    known = Results((replace(run, report=run.report | {"rows": reported}),))
    table = shown_table(rows_of(Filters("scenes", "known"), known))
    assert set(table["dialogue before"]) == {"0.500 [0.400, 0.600]"}
    assert set(table["dialogue change"]) == {"–"}


@pytest.mark.parametrize("filters", [Filters("scenes", "known"), Filters(), Filters("scenes", kind="segment")])
def test_csv_and_json_parse_back_to_the_table(results: Results, filters: Filters) -> None:
    rows = rows_of(filters, results)
    shown = shown_table(rows)
    parsed = pd.read_csv(io.StringIO(to_csv(rows)))
    assert shown_table(parsed).equals(shown)
    assert list(parsed["gIoU"]) == pytest.approx(list(rows["gIoU"]), rel=1e-12, nan_ok=True)
    records = json.loads(to_json(rows))
    assert [record["method"] for record in records] == list(rows["method"])
    assert shown_table(pd.DataFrame(records)).equals(shown)
    assert {record["phase s: decode"] for record in records if record["n"]} == {0.02}


def test_links_hold_the_files(results: Results) -> None:
    rows = rows_of(Filters("scenes", "known"), results)
    found = re.findall(r'download="([^"]+)" href="data:[^;]+;base64,([^"]+)"', download_links(rows))
    assert {name: base64.b64decode(data).decode() for name, data in found} == {
        "stamp-benchmark.csv": to_csv(rows),
        "stamp-benchmark.json": to_json(rows),
    }
    assert download_links(rows.iloc[:0]) == ""


def test_the_best_is_bold_only_among_rows_of_the_same_work(results: Results) -> None:
    rows = rows_of(Filters(), results)
    cells = best_cells(rows)
    for split, own in rows.reset_index(drop=True).groupby("split"):
        for name in JUDGED:
            best = own[name].min() if name.endswith(" s") else own[name].max()
            expected = set(own.index[own[name] == best]) if own[name].nunique() > 1 else set()
            assert {position for position, column in cells if column == name and position in own.index} == expected, (
                split
            )
    assert best_cells(rows.iloc[:1]) == []


def test_bold_reaches_the_page(results: Results) -> None:
    rows = rows_of(Filters("scenes", "known"), results)
    html = styled_table(rows).to_html()
    assert html.count("font-weight: 800") >= 1

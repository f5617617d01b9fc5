"""The table of the tab, and the same rows as CSV and JSON."""

import base64
import json
from typing import Any

import pandas as pd

from benchmarks.reporting.report_table import UNKNOWN, interval, number
from demo.board.results import BEFORE, ROW_COLUMNS

#: Scores that every table has; the others of SCORES are in the downloads.
SHOWN_SCORES = ("gIoU", "cIoU", "P@0.5", "dialogue", "invalid")
LESS_IS_BETTER = ("invalid", "median s", "p90 s", "tokens", "passes", "times stamp", "peak MB")
#: Bold marks the best of these, among rows that answer the same requests on the same machine.
JUDGED = (*SHOWN_SCORES[:4], "median s", "p90 s")
PROVENANCE = ("n", "questions", "hardware", "dtype", "commit", "date")
SAME_WORK = ["dataset", "data", "split", "n", "hardware", "threads"]


def shown_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as words: scores with their intervals in brackets, a dash for what is unknown."""
    several = [name for name in ("dataset", "split", "run") if rows[name].nunique() > 1]
    table: dict[str, list[str]] = {"method": list(rows["method"]), **{name: list(rows[name]) for name in several}}
    before = BEFORE if rows["dialogue before"].notna().any() else ()
    table |= {name: [_score(row, name) for _, row in rows.iterrows()] for name in (*SHOWN_SCORES, *before)}
    for name in ("median s", "p90 s", "tokens", "passes"):
        table[name] = [number(_known(value)) for value in rows[name]]
    table["× stamp"] = [_score(row, "times stamp", digits=2) for _, row in rows.iterrows()]
    table["peak MB"] = [number(_known(value)) for value in rows["peak MB"]]
    told = [*PROVENANCE, *(["note"] if rows["note"].notna().any() else [])]
    table |= {name: [_word(value) for value in rows[name]] for name in told}
    return pd.DataFrame(table, dtype=object)


def _known(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _word(value: Any) -> str:
    if value is None or pd.isna(value):
        return UNKNOWN
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _score(row: "pd.Series[Any]", name: str, digits: int = 3) -> str:
    return interval(
        {key: _known(row[f"{name}{part}"]) for key, part in (("value", ""), ("low", " low"), ("high", " high"))}, digits
    )


def best_cells(rows: pd.DataFrame) -> list[tuple[int, str]]:
    """(position, column) of every best figure; none where all rows that answer the same requests are equal."""
    found = []
    positions = pd.Series(range(len(rows)), index=rows.index)
    for _, own in rows.groupby(SAME_WORK, dropna=False, sort=False):
        for name in JUDGED:
            values = own[name].astype(float)
            best = values.min() if name in LESS_IS_BETTER else values.max()
            if values.nunique() > 1:
                found += [(int(positions[index]), name) for index in own.index[values == best]]
    return found


def styled_table(rows: pd.DataFrame) -> Any:
    """`shown_table` with the best figures in bold, for gr.Dataframe."""
    table = shown_table(rows)
    bold = pd.DataFrame("", index=table.index, columns=table.columns)
    for position, name in best_cells(rows):
        bold.loc[position, name] = "font-weight: 800"
    return table.style.apply(lambda _: bold, axis=None)


# -- downloads ---------------------------------------------------------------------------------------------------


def to_csv(rows: pd.DataFrame) -> str:
    """Every figure of the rows, unrounded, one line a row; phases have a column each.

    Words that a spreadsheet would run as a formula get an apostrophe before them.
    """
    return str(_flat(rows).map(_no_formula).to_csv(index=False))


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    line = value.replace("\r", " ")  # pandas does not quote it, and for a spreadsheet it begins a new cell
    return f"'{line}" if line.lstrip()[:1] in tuple("=+-@") else line


def to_json(rows: pd.DataFrame) -> str:
    """The same as a list of objects; unknown is null."""
    records = json.loads(_flat(rows).to_json(orient="records", double_precision=15))
    return json.dumps(records, indent=1) + "\n"


def _flat(rows: pd.DataFrame) -> pd.DataFrame:
    plain = rows[[name for name in ROW_COLUMNS if name != "phases"]].reset_index(drop=True)
    phases = pd.DataFrame([dict(one) for one in rows["phases"]]).add_prefix("phase s: ")
    return pd.concat([plain, phases], axis=1)


def download_links(rows: pd.DataFrame) -> str:
    """HTML: links that hold the files themselves, so that nothing is written on the server."""
    if rows.empty:
        return ""
    files = (("CSV", "csv", "text/csv", to_csv(rows)), ("JSON", "json", "application/json", to_json(rows)))
    links = (
        f'<a class="download" download="stamp-benchmark.{ending}" '
        f'href="data:{kind};base64,{base64.b64encode(text.encode()).decode()}">{name}</a>'
        for name, ending, kind, text in files
    )
    return f'<p class="downloads">Download what is shown: {" ".join(links)}</p>'

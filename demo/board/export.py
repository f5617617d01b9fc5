"""The rows of a view as CSV and JSON, under their ids and unrounded."""

import base64
import json
from typing import Any

import pandas as pd

from demo.board.results import ROW_COLUMNS


def to_csv(rows: pd.DataFrame) -> str:
    """Every figure of the rows, unrounded, one line a row; phases have a column each.

    Words that a spreadsheet would run as a formula get an apostrophe before them.
    """
    return str(_flat(rows).map(_no_formula).to_csv(index=False))


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    line = value.replace("\r", " ")  # pandas does not quote it, and a spreadsheet would start a new cell there
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

"""What the studies of variants share: each variant is trained and measured once, and rows and record are written."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def measured_once(
    names: Iterable[str], rows_file: str, out: Path, measure: Callable[[str, Path], Iterable[Row]]
) -> list[Row]:
    """The rows of all variants, each in a folder of its own; a variant whose rows are there is not measured again.

    measure: trains and measures the variant of a name in its folder.
    """
    rows: list[Row] = []
    for name in names:
        folder = out / name.replace(",", "").replace(" ", "-")
        if not (folder / rows_file).exists():
            write_rows(measure(name, folder), folder / rows_file)
        rows += [json.loads(line) for line in (folder / rows_file).read_text().splitlines()]
    return rows


def write_results(rows: Sequence[Row], rows_file: str, record: dict[str, Any], record_file: str, folder: Path) -> None:
    """Write the rows of a study and its record, with provenance and scores, into a folder."""
    write_rows(rows, folder / rows_file)
    (folder / record_file).write_text(json.dumps(record, indent=1) + "\n")


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write rows as lines of JSON, once there are all of them."""
    path.write_text("".join([json.dumps(row) + "\n" for row in rows]))

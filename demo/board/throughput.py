"""The table of answers a second, with one request in flight and with several, from `throughput.json`."""

import json
from html import escape
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from benchmarks.reporting.report_table import number
from benchmarks.studies.throughput import IN_FLIGHT, SUMMARY_FILE, origin
from demo.board.names import method_name


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True)


class _Spread(_Shape):
    median: FiniteFloat | None
    least: FiniteFloat | None
    most: FiniteFloat | None


class _Rates(_Shape):
    answers_per_s: dict[str, _Spread]
    ratio: _Spread
    errors: int


class _Provenance(_Shape):
    n: int
    samples: int
    busy_before: FiniteFloat
    hardware: str | None
    dtype: str | None
    threads: int | None
    date: str | None
    commit: str | None
    uncommitted_changes: bool | None


class _Throughput(_Shape):
    provenance: _Provenance
    methods: dict[str, _Rates]


def read_throughput(root: Path) -> dict[str, Any] | None:
    """The file in a folder of results; None without one. Raises ValueError with a sentence for one of another shape."""
    path = root / SUMMARY_FILE
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        checked = _Throughput.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where[:100]}: {first['msg'][:100]}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError("it is not JSON.") from error
    wanted = {str(many) for many in IN_FLIGHT}
    if missing := [label for label, one in checked.methods.items() if not wanted <= set(one.answers_per_s)]:
        raise ValueError(f"{missing[0][:100]} has no figures for {' and '.join(sorted(wanted))} in flight.")
    return record


def throughput_html(record: dict[str, Any] | None) -> str:
    """HTML: a heading, the table, and where its figures come from. Empty without a record."""
    if record is None or not record["methods"]:
        return ""
    many, methods = str(IN_FLIGHT[-1]), record["methods"]
    head = ["Method", *(f"{one} in flight" for one in IN_FLIGHT), f"Ratio {many} to {IN_FLIGHT[0]}"]
    lines = "".join(_line(label, one) for label, one in methods.items())
    failed = [f"{one['errors']} of {method_name(label)}" for label, one in methods.items() if one["errors"]]
    errors = f" Requests without an answer: {', '.join(failed)}." if failed else ""
    cells = "".join(f'<th scope="col">{one}</th>' for one in head)
    return (
        f'<h2>Throughput</h2><p class="takeaway">{escape(takeaway(record))}</p>'
        '<p class="muted legend">Requests for a mask answered per second; small figures: lowest and highest round.</p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Throughput"><table class="ranking">'
        f"<thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>"
        f'<div class="muted below"><p>{escape(origin(record) + errors)}</p></div>'
    )


def takeaway(record: dict[str, Any]) -> str:
    """The method with the most answers when several wait, and what waiting together gains it."""
    many = IN_FLIGHT[-1]
    rates = {label: one["answers_per_s"][str(many)]["median"] or 0.0 for label, one in record["methods"].items()}
    best = max(rates, key=rates.__getitem__)
    ratio = record["methods"][best]["ratio"]["median"]
    gain = "" if ratio is None else f", {number(ratio)} times as many as one at a time"
    lead = f"{method_name(best)} has the highest throughput with {many} requests in flight"
    return f"{lead}: {number(rates[best])} answers per second{gain}."


def _line(label: str, one: dict[str, Any]) -> str:
    spreads = [*(one["answers_per_s"][str(many)] for many in IN_FLIGHT), one["ratio"]]
    cells = "".join(
        f"<td>{number(spread['median'])}<small>{number(spread['least'])} to {number(spread['most'])}</small></td>"
        for spread in spreads
    )
    return f'<tr><th scope="row">{escape(method_name(label))}</th>{cells}</tr>'

"""The ranked table: one row per method, best first; "better" is decided by pairs on the same samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from benchmarks.budget import BUDGET_FIELDS
from benchmarks.reporting.report_table import CHANGED, NOT_COUNTED, UNKNOWN, number
from benchmarks.scoring.pairs import COMPARED, SECONDS, Pairs
from demo.board.names import name_of
from demo.board.pairing import are_compared, is_better
from demo.board.takeaways import of_masks, score_of
from demo.html import and_list


@dataclass(frozen=True)
class Column:
    """A column of figures. name: as in the rows. heading, meaning: for people. digits: None for three significant."""

    name: str
    heading: str
    meaning: str
    digits: int | None = 3


COLUMNS = (
    Column(
        "gIoU", "gIoU", "Mean IoU of the masks, over all requests. 1 is perfect. Where nothing in the picture fits, an "
        "answer without a mask counts as 1.",
    ),
    Column("cIoU", "cIoU", "Sum of all intersections divided by the sum of all unions, so large objects weigh more."),
    Column("P@0.5", "P@0.5", "Share of the requests with a matching object whose mask reaches an IoU of 0.5."),
    Column("dialogue", "Questions right", "Share of the questions that were answered right in words."),
    Column(
        "dialogue change", "Change",
        "What learning masks changed in Questions right: the score after it minus the score before it, on the same "
        "questions.",
    ),
    Column("invalid", "Unusable", "Share of the requests for a mask whose output could not be parsed."),
    Column(SECONDS, "Seconds", "Median time per request for a mask, from picture and prompt to the masks.", None),
    Column("tokens", "Tokens", "Median number of tokens the model wrote per request for a mask.", None),
    Column("peak MB", "Memory (MB)", "Peak memory above what the process held before it loaded the method.", None),
)  # fmt: skip
#: For these columns, the smallest value comes first.
LESS_IS_BETTER = ("invalid", SECONDS, "tokens", "peak MB")
#: These get their own columns if the rows differ in them.
PARTS = ("dataset", "split", "run")
RANK = "Rank 2: one method is significantly better on the same samples. Methods that tie share a rank."

SORT_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("th button");
  if (!button) return;
  const head = button.closest("th"), body = head.closest("table").tBodies[0];
  const wasUp = head.getAttribute("aria-sort") === "ascending", isFirst = !head.hasAttribute("aria-sort");
  const up = isFirst ? head.dataset.first === "up" : !wasUp;
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = (row) => row.cells[head.cellIndex].dataset.value;
  const order = (a, b) => {
    if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
    const both = [Number(value(a)), Number(value(b))];
    const by = both.some(Number.isNaN) ? value(a).localeCompare(value(b)) : both[0] - both[1];
    return up ? by : -by;
  };
  body.append(...[...body.rows].sort(order));
});
"""


def ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Labelled rows, best score first within each workload; methods without a score come last."""
    by = [name for name in ("dataset", "split", "hardware", "run") if rows[name].nunique(dropna=False) > 1]
    scores = list(dict.fromkeys([score_of(rows), "dialogue"]))
    ascending = [True] * len(by) + [False] * len(scores)
    return rows.sort_values([*by, *scores], ascending=ascending, na_position="last", kind="stable")


def ranks(rows: pd.DataFrame, pairs: Pairs) -> dict[str, int]:
    """By label: one more than the number of methods that are significantly better; only where all are compared."""
    score = score_of(rows)
    labels = list(rows.loc[rows[score].notna(), "label"]) if pairs.get(score) else []
    compared = [label for label in labels if are_compared(pairs, score, label, labels)]
    return {label: 1 + sum(is_better(pairs, score, other, label) for other in labels) for label in compared}


def best_cells(rows: pd.DataFrame, pairs: Pairs) -> set[tuple[str, str]]:
    """(label, column) of the figures that are compared with all and beaten by none, where somebody is beaten."""
    found = set()
    for score in COMPARED:
        labels = list(rows.loc[rows[score].notna(), "label"])
        best = [one for one in labels if not any(is_better(pairs, score, other, one) for other in labels)]
        if len(best) < len(labels):
            found |= {(label, score) for label in best if are_compared(pairs, score, label, labels)}
    return found


# -- HTML --------------------------------------------------------------------------------------------------------------


def ranking_html(rows: pd.DataFrame, pairs: Pairs) -> str:
    """The table of labelled rows, what its columns mean, and where its figures come from. Empty without rows."""
    if rows.empty:
        return ""
    rows = of_masks(ranked(rows))
    places, best = ranks(rows, pairs), best_cells(rows, pairs)
    columns = [column for column in COLUMNS if rows[column.name].notna().any()]
    parts = [name for name in PARTS if rows[name].nunique() > 1]
    head = [
        _head("#", RANK, "up") if places else "", *(_head(name.title(), "", "up") for name in ("method", *parts)),
        *(_head(one.heading, one.meaning, "up" if one.name in LESS_IS_BETTER else "down") for one in columns),
    ]  # fmt: skip
    body = []
    for _, row in rows.iterrows():
        place = places.get(row["label"])
        cells = [_cell(UNKNOWN if place is None else str(place), "" if place is None else place)] if places else []
        cells.append(_method(row))
        cells += [_cell(name_of(name, str(row[name])), name_of(name, str(row[name]))) for name in parts]
        cells += [_figure(row, column, (row["label"], column.name) in best) for column in columns]
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Results, best first"><table class="ranking">'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        f"{_below(rows, columns, best)}"
    )


def _head(heading: str, meaning: str, first: str) -> str:
    title = f' title="{escape(meaning)}"' if meaning else ""
    return f'<th scope="col" data-first="{first}"><button type="button"{title}>{escape(heading)}</button></th>'


def _method(row: "pd.Series[Any]") -> str:
    name = name_of("method", row["method"])
    star = ' <span class="star">*</span>' if isinstance(row["note"], str) else ""
    return f'<th scope="row" data-value="{escape(name)}">{escape(name)}{star}</th>'


def _cell(text: str, value: object, detail: str = "", *, is_best: bool = False) -> str:
    shown = f"<b>{escape(text)}</b>" if is_best else escape(text)
    small = f"<small>{escape(detail)}</small>" if detail else ""
    return f'<td data-value="{escape(str(value))}">{shown}{small}</td>'


def _figure(row: "pd.Series[Any]", column: Column, is_best: bool) -> str:
    """A figure, with its interval below it."""
    value = row[column.name]
    if pd.isna(value):
        return _cell(UNKNOWN, "")
    if column.digits is None:
        return _cell(number(float(value)), float(value), is_best=is_best)
    sign = "+" if column.name == "dialogue change" else ""
    low, high = row.get(f"{column.name} low"), row.get(f"{column.name} high")
    known = low is not None and high is not None and pd.notna(low) and pd.notna(high)
    detail = f"{low:{sign}.2f} to {high:{sign}.2f}" if known else ""
    return _cell(f"{value:{sign}.{column.digits}f}", float(value), detail, is_best=is_best)


def _below(rows: pd.DataFrame, columns: Sequence[Column], best: set[tuple[str, str]]) -> str:
    """What bold and small print mean, the columns explained, notes of methods, and the origin of the figures."""
    notes = ["Small figures: 95% interval over pictures."]
    notes += ["Bold: no other method is significantly better."] if best else []
    notes += [] if rows["seconds count"].all() else [NOT_COUNTED]
    meanings = "".join(f"<dt>{escape(one.heading)}</dt><dd>{escape(one.meaning)}</dd>" for one in columns)
    of_methods = rows[["method", "note"]].dropna().drop_duplicates()
    stars = "".join(
        f"<p>* {escape(name_of('method', name))}: {escape(note)}.</p>" for name, note in of_methods.to_numpy()
    )
    return (
        f'<div class="muted below"><p>{" ".join(notes)} {escape(_origin(rows))}</p>'
        f"{_failures(rows)}{_budgets(rows)}{stars}"
        f"<details><summary>What the columns mean</summary><dl>{meanings}</dl></details></div>"
    )


def _failures(rows: pd.DataFrame) -> str:
    """How many answers of which method ended in an error, as HTML; empty without any."""
    failed = [f"{row['label']} {row['errors']:.0f}" for _, row in rows.iterrows() if row["errors"] > 0]
    return f"<p>Answers that ended in an error: {escape(', '.join(failed))}.</p>" if failed else ""


def _budgets(rows: pd.DataFrame) -> str:
    """Which methods had an equal budget, as HTML; empty where fewer than two had."""
    equal = rows[rows["note"].isna()]
    shown = ""
    for (start, pictures), own in equal.groupby(list(BUDGET_FIELDS), sort=False):
        names = [name_of("method", label) for label in dict.fromkeys(own["method"])]
        if len(names) > 1:
            budget = f"trained from {escape(start)} on {pictures:.0f} pictures each"
            shown += f"<p>Equal budget, {budget}: {escape(and_list(names))}.</p>"
    return shown


def _origin(rows: pd.DataFrame) -> str:
    counts = [
        f"{_span(rows[name])} {words} per method"
        for name, words in (("n", "requests for a mask"), ("questions", "questions"))
        if rows[name].max() > 0
    ]
    parts = [_several(rows["hardware"], "machines"), _several(rows["dtype"], "data types")]
    days, commits = (_of_sessions(rows[name]) for name in ("date", "commit"))
    parts += [_several((day[:10] for day in days), "days"), _several(commits, "commits")]
    if len(set(commits)) > 1 and any(commit.endswith(CHANGED) for commit in commits):
        parts[-1] += f" ({CHANGED.strip()})"
    return f"{', '.join(counts)}. Measured on: {', '.join(part for part in parts if part)}." if counts else ""


def _of_sessions(values: Iterable[Any]) -> list[str]:
    return [part for value in values if isinstance(value, str) for part in value.split(", ")]


def _span(counts: "pd.Series[Any]") -> str:
    known = sorted({int(count) for count in counts if count > 0})
    return str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"


def _several(values: Iterable[Any], words: str) -> str:
    known = list(dict.fromkeys(value for value in values if isinstance(value, str)))
    return known[0] if len(known) == 1 else f"{len(known)} {words}" if known else ""

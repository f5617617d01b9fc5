"""Reports and comparisons as Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.running.run_file import seconds_count
from benchmarks.scoring.scores import COMPARED, SCORES

UNKNOWN = "–"
MB = 1e6
NOT_COUNTED = "Seconds do not count: other work ran beside the measurement."
#: Follows a commit that is not what was measured.
CHANGED = " with uncommitted changes"
#: Follows the name of a method that has a note.
MARK = "*"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    """A table whose first `words` columns hold words, the others numbers."""
    lines = [header, ["---"] * words + ["---:"] * (len(header) - words), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    """Escape a cell: names come from files, and a bar or line break in one must not start a new cell."""
    return " ".join(text.replace("|", "\\|").split())


def report_tables(report: dict[str, Any]) -> str:
    """Methods by split, each method against the reference, scores by kind of request, and the figures' origin."""
    rows, reference = report["rows"], report["reference"]
    scores = [name for name in SCORES if any(row["scores"][name] for row in rows)]
    names = ["dataset", "split", "method"]
    before = ["dialogue before", "change"] if any(row["before"] for row in rows) else []
    costs = ["median s", "p90 s", "tokens", "passes", f"times {reference}", "weights MB", "peak MB"]
    main = [_main_row(row, scores, bool(before)) for row in rows]
    tables = [markdown([*names, "precision", "n", *scores, *before, *costs], main, words=4)]
    if others := [_against_row(row) for row in rows if row["against_reference"]]:
        differences = [f"{name} minus {reference}'s" for name in COMPARED]
        tables.append(markdown([*names, f"seconds, times {reference}", *differences], others, words=3))
    kinds = [_kind_row(row, kind, own) for row in rows for kind, own in row["kinds"].items()]
    tables.append(markdown([*names, "kind", "n", "score", "mean", "median s", "tokens"], kinds, words=4))
    return "\n\n".join([*tables, "\n".join(_notes(report))]) + "\n"


def _main_row(row: dict[str, Any], scores: Sequence[str], with_before: bool) -> list[str]:
    cost, before = row["cost"], row["before"] or {}
    return [
        row["dataset"],
        row["split"],
        row["method"] + (MARK if row["note"] else ""),
        row["precision"],
        str(row["requests_for_masks"] + row["questions"]),
        *(interval(row["scores"][name]) for name in scores),
        *([interval(before.get("dialogue")), interval(before.get("change"), sign="+")] if with_before else []),
        number(cost["median_s"]),
        number(cost["p90_s"]),
        number(cost["median_tokens"]),
        number(cost["median_passes"]),
        interval((row["against_reference"] or {}).get("times_s"), digits=2),
        *megabytes(row["memory"]),
    ]


def megabytes(memory: dict[str, Any] | None) -> tuple[str, str]:
    """`sizes_mb` in words; neither where the peak is unknown."""
    weights, peak = sizes_mb(memory or {})
    return (UNKNOWN, UNKNOWN) if peak is None else (number(weights), number(peak))


def sizes_mb(memory: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """(size of the weights, peak memory above what the process held before loading) in megabytes; None if unknown."""
    weights, peak, before = (memory.get(f"{name}_bytes") for name in ("weights", "peak", "before"))
    added = None if peak is None or before is None else (peak - before) / MB
    return None if weights is None else weights / MB, added


def _against_row(row: dict[str, Any]) -> list[str]:
    compared = row["against_reference"]
    differences = (interval(compared[name], sign="+") for name in COMPARED)
    return [row["dataset"], row["split"], row["method"], interval(compared["times_s"], digits=2), *differences]


def _kind_row(row: dict[str, Any], kind: str, own: dict[str, Any]) -> list[str]:
    name = next((name for name in ("dialogue", "gIoU") if own["scores"][name]), None)
    score = own["scores"][name] if name else None
    cost = own["cost"]
    return [
        row["dataset"],
        row["split"],
        row["method"],
        kind,
        UNKNOWN if score is None else str(score["n"]),
        name or UNKNOWN,
        interval(score),
        number(cost["median_s"]),
        number(cost["median_tokens"]),
    ]


def _notes(report: dict[str, Any]) -> list[str]:
    draws = report["bootstrap"]
    notes = [
        f"Convention: {report['convention']}. In brackets: {draws['level']:.0%} bootstrap interval over pictures, "
        f"{draws['draws']} draws, seed {draws['seed']}. Seconds, tokens and passes are of requests for a mask. "
        "Peak: memory of a process that loads the method and answers, above what it held before, 1 MB = 1e6 bytes."
    ]
    if equal := report.get("equal_budget"):
        methods = ", ".join(equal["methods"])
        start, pictures = equal["trained_from"], equal["pictures_seen"]
        notes.append(f"Equal budget, trained from {start} on {pictures} pictures each: {methods}.")
    for label, row in {row["method"]: row for row in report["rows"]}.items():
        if row["note"]:
            notes.append(f"{label}{MARK}: {row['note']}.")
        if error := (row["memory"] or {}).get("error"):
            notes.append(f"Memory of {label} is not known: {error}")
    for row in report["rows"]:
        for count, what in ((row["errors"], "errors"), (row["without_annotation"], "without a readable annotation")):
            if count:
                notes.append(f"{row['dataset']} {row['split']}, {row['method']}: {count} {what}.")
    notes += [f"Not read: {problem}." for problem in report["problems"]]
    run = report["run"]
    if run is None:
        return [*notes, "Measured with: unknown, there is no run.json."]
    notes += [] if seconds_count(run) else [NOT_COUNTED]
    for label, about in run["methods"].items():
        notes.append(f"{label}: {about.get('model')}, {about.get('hardware')}, {about.get('threads')} threads.")
    sessions = ", ".join(_session(one) for one in run["sessions"])
    return [*notes, f"Measured {sessions}; {run['config']['processes']} process(es), seed {run['config']['seed']}."]


def _session(session: dict[str, Any]) -> str:
    return f"{session['date']} at commit {commit_of(session)}"


def commit_of(session: Mapping[str, Any]) -> str:
    """The commit of one session of a run, and whether it was measured with changes to it."""
    return f"{session['commit']}{CHANGED if session.get('uncommitted_changes') else ''}"


def number(value: float | None) -> str:
    """Three digits, or a dash if unknown."""
    return UNKNOWN if value is None else f"{value:.3g}"


def interval(score: dict[str, Any] | None, digits: int = 3, sign: str = "") -> str:
    """ "0.772 [0.748, 0.795]". sign: "+" writes one before numbers above 0 too."""
    if score is None or score["value"] is None:
        return UNKNOWN
    value, low, high = (
        None if score[name] is None else f"{score[name]:{sign}.{digits}f}" for name in ("value", "low", "high")
    )
    return f"{value}" if low is None else f"{value} [{low}, {high}]"

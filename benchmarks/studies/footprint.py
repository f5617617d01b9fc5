"""The cost of a checkpoint: seconds to load, memory, and seconds per phase of one answer with a mask.

One process measures one checkpoint once, starting with the import of torch, because memory peaks cannot be reset. Rows
are appended to a JSON-lines file, and the table is made from the rows.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.instruments import peak_bytes, resident_bytes
from benchmarks.provenance import precision_of, provenance, threads_of
from benchmarks.studies.speed import CLOCKS, SpeedConfig, load_timed, measure, picture, speed_cases
from stamp.checkpoints.load_options import LoadOptions
from stamp.files import append_row

GB = 1e9
COLUMNS = (
    "model",
    "precision",
    "load s",
    "resident GB",
    "peak GB",
    "vision s",
    "prefill s",
    "s a token",
    "mask s",
    "total s",
    "seconds counted",
)


@dataclass(frozen=True)
class Footprint:
    """One measurement. Memory is the process's resident set, or torch's allocations on a GPU.

    seconds: per phase, for one answer of `new_tokens` tokens with one mask of `mask_tokens` tokens, without warm-up.
    clock: the clock for seconds and load_s, a key of `benchmarks.studies.speed.CLOCKS`.
    load_peak_bytes: until the model was loaded. peak_bytes: until the answer was complete.
    """

    load_s: float
    load_peak_bytes: int
    resident_bytes: int
    peak_bytes: int
    seconds: dict[str, float]
    new_tokens: int
    mask_tokens: int
    provenance: dict[str, Any]
    clock: str


def measure_footprint(options: LoadOptions, side_px: int = 896, clock: str = "wall") -> Footprint:
    """Load a checkpoint, answer once about a square picture of `side_px`, and return the cost."""
    start = CLOCKS[clock]()
    predictor = load_timed(options, clock)
    load_s = CLOCKS[clock]() - start
    load_peak, resident = peak_bytes(predictor.device), resident_bytes(predictor.device)
    case = next(case for case in speed_cases(predictor.processor, SpeedConfig()) if case.name == "one_mask")
    run = measure(predictor, picture(side_px), case, "ours")
    return Footprint(
        load_s=load_s,
        load_peak_bytes=load_peak,
        resident_bytes=resident,
        peak_bytes=peak_bytes(predictor.device),
        seconds=run.seconds,
        new_tokens=run.result.new_tokens,
        mask_tokens=run.result.mask_logits[0].size,
        provenance=provenance(predictor, options.model),
        clock=clock,
    )


def append_footprint(footprint: Footprint, path: Path) -> None:
    """Append a row to a file; creates the file if necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    append_row(path, asdict(footprint))


def read_footprints(path: Path) -> list[Footprint]:
    """The rows of a file."""
    return [Footprint(**json.loads(line)) for line in path.read_text().splitlines()]


def footprint_table(rows: Sequence[Footprint]) -> str:
    """Markdown, one line per row, and a line with what all rows have in common."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|---|" + "---:|" * (len(COLUMNS) - 3) + "---|"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    for hardware in dict.fromkeys(row.provenance["hardware"] for row in rows):
        some = [row for row in rows if row.provenance["hardware"] == hardware]
        dates = sorted({row.provenance["date"] for row in some})
        commits = sorted({str(row.provenance["commit"]) for row in some})
        answer = f"{some[0].new_tokens} tokens and one mask of {some[0].mask_tokens} mask tokens, one cold run each"
        lines.append(f"\n{hardware}, {answer}; {', '.join(dates)}, commit {', '.join(commits)}.")
    return "\n".join(lines)


def _cells(row: Footprint) -> list[str]:
    where, seconds = row.provenance, row.seconds
    numbers = (
        row.load_s,
        row.resident_bytes / GB,
        row.peak_bytes / GB,
        seconds["vision"],
        seconds["prefill"],
        seconds["decode"] / row.new_tokens,
        seconds["mask"],
        seconds["total"],
    )
    counted = f"{row.clock}, {threads_of(where)}"
    return [where["model"], precision_of(where), *(f"{number:.3g}" for number in numbers), counted]

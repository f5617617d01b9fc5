"""`python -m benchmarks operations`: memory, errors and response times of the page under load, on the real app on loopback.

Soak: requests to `/segment` one after another, and visits that are abandoned; memory before, at its peak, and afterwards.
Few and crowd: one visitor, a few, and many at once, each with some questions; errors, answers per second, and seconds to
the first word, the first mask and the end.
Full house: more questions than the page accepts; how many are refused, with which message, and how long the model is
busy after everybody has left. The machine may be busy with other things: how busy it was before is recorded.
"""

import argparse
import io
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.studies.other_load import busy_share, busy_words
from benchmarks.studies.visitors import PATIENCE_S, Asked, Server, Visitor, watching
from stamp.files import write_atomically

MB = 1e6
PICTURE = Path(__file__).resolve().parents[2] / "assets" / "examples" / "lemon.webp"
PROMPTS = ("segment the lemon", "what is in the picture?", "segment the spoon")
RESULTS = Path("benchmarks/results/operations.json")
PAGE = Path("docs/operations.md")
#: After the last visitor, housekeeping clears away within this time (`demo.security.presence`).
SETTLE_S = 30.0
#: Visitors at once, before the crowd, and the questions of each.
FEW = ((1, 30), (4, 6), (8, 3))
#: The page lets in so many questions of all visitors together (`demo.security.limits`).
PLACES = 64


@dataclass(frozen=True)
class OperationsConfig:
    """How much to ask. requests, visits: of the soak; visitors, questions (of each): of the crowd."""

    requests: int = 300
    visits: int = 300
    visitors: int = 50
    questions: int = 3

    def __post_init__(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) < 1:
                raise ValueError(f"{one.name} must be at least 1, got {getattr(self, one.name)}")


def add_operations_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    texts = {
        "requests": "requests to /segment of the soak",
        "visits": "visits that are abandoned",
        "visitors": "visitors at the same time",
        "questions": "questions of each of them",
    }
    for one in fields(OperationsConfig):
        text = f"{texts[one.name]} (default: {one.default})"
        parser.add_argument(f"--{one.name}", type=int, default=one.default, help=text)
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file to write from them")


def run_operations(config: OperationsConfig, out: Path, page: Path) -> dict[str, Any]:
    """Measure everything and write both files."""
    import torch

    from stamp.checkpoints.provenance import provenance_of

    record: dict[str, Any] = {
        "config": asdict(config),
        "provenance": provenance_of(torch.device("cpu")),
        "busy_before": busy_share(),
    }
    with Server(["--trusted"]) as server:
        record["soak"] = soak(server, config)
        record["few"] = [crowd(server, visitors, questions) for visitors, questions in FEW]
        record["crowd"] = crowd(server, config.visitors, config.questions)
        record["full_house"] = full_house(server)
    for path in (out, page):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, json.dumps(record, indent=1) + "\n")
    write_atomically(page, operations_page(record))
    return record


def picture() -> bytes:
    """A PNG of the example picture."""
    buffer = io.BytesIO()
    with Image.open(PICTURE) as shown:
        shown.convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()


# -- the parts -----------------------------------------------------------------------------------------------------


def soak(server: Server, config: OperationsConfig) -> dict[str, Any]:
    """Memory around many requests and many visits. One of each is made before, so that everything is loaded."""
    shown, failures = picture(), 0
    seconds: list[float] = []
    with Visitor(server) as first:
        first.show(shown)
        first.ask(PROMPTS[0])
        first.read(first.call(first.upload(shown), PROMPTS[0]))
    time.sleep(SETTLE_S)
    before = server.resident_bytes()
    with watching(server) as seen:
        with Visitor(server) as caller:
            for number in tqdm(range(config.requests), desc="soak", unit="request"):
                began = time.monotonic()
                called = caller.call(caller.upload(shown), PROMPTS[number % len(PROMPTS)])
                failures += not (called.status_code == 200 and caller.read(called))
                seconds.append(time.monotonic() - began)
        for number in tqdm(range(config.visits), desc="abandoned", unit="visit"):
            with Visitor(server) as visitor:
                visitor.show(shown)
                if number % 10 == 0:  # leaves in the middle of an answer
                    visitor.join("prompt", "submit", [PROMPTS[0]])
        settle(server)
    memory = {"before": before, "most": max(seen), "after": server.resident_bytes()}
    return {"failures": failures, "request_s": spread(seconds), "resident_bytes": memory}


def settle(server: Server) -> float:
    """Wait until no question is open, and what visitors left is cleared away -> seconds until no question was open."""
    began = time.monotonic()
    while server.open_questions():
        time.sleep(0.2)
    free = time.monotonic() - began
    time.sleep(SETTLE_S)
    return free


def crowd(server: Server, visitors: int, questions: int) -> dict[str, Any]:
    """Everybody begins at once; each asks the next question when the last is answered."""
    shown, start = picture(), threading.Barrier(visitors + 1, timeout=PATIENCE_S)

    def visit(_: int) -> list[Asked]:
        with Visitor(server) as visitor:
            visitor.show(shown)
            start.wait()
            return [visitor.ask(PROMPTS[number % len(PROMPTS)]) for number in range(questions)]

    with watching(server) as seen, ThreadPoolExecutor(visitors) as pool:
        visits = [pool.submit(visit, number) for number in range(visitors)]
        start.wait()
        began = time.monotonic()
        asked = [one for visit_ in visits for one in visit_.result()]
        seconds = time.monotonic() - began
    settle(server)
    answered = sum(one.problem is None for one in asked)
    return {
        "visitors": visitors,
        "questions": len(asked),
        "problems": sorted({one.problem for one in asked if one.problem is not None}),
        "failures": len(asked) - answered,
        "answers_per_s": round(answered / seconds, 2),
        "first_word_s": spread([one.first_word_s for one in asked]),
        "first_mask_s": spread([one.first_mask_s for one in asked]),
        "total_s": spread([one.total_s for one in asked if one.problem is None]),
        "most_resident_bytes": max(seen),
    }


def full_house(server: Server, more: int = 3) -> dict[str, Any]:
    """Some questions more than there are places; then everybody leaves without reading."""
    with Visitor(server) as caller:
        shown = caller.upload(picture())
        answers = [caller.call(shown, PROMPTS[0]) for _ in range(PLACES + more)]
    refused = [one for one in answers if one.status_code == 429]
    return {
        "asked": len(answers),
        "let_in": sum(one.status_code == 200 for one in answers),
        "refused": len(refused),
        "sentences": sorted({str(one.json()["detail"]) for one in refused}),
        "free_after_s": round(settle(server), 1),
    }


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """How many there are, their median and their 95th percentile; null where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return {"n": 0, "p50": None, "p95": None}
    p50, p95 = np.percentile(known, [50, 95])
    return {"n": len(known), "p50": round(float(p50), 2), "p95": round(float(p95), 2)}


# -- the document --------------------------------------------------------------------------------------------------


def operations_page(record: dict[str, Any]) -> str:
    """docs/operations.md, from the figures alone."""
    config, soaked, crowded, house = (record[name] for name in ("config", "soak", "crowd", "full_house"))
    where, memory = record["provenance"], soaked["resident_bytes"]
    grown = (memory["after"] - memory["before"]) / MB
    options = " ".join(f"--{name} {value}" for name, value in config.items())
    lines = [
        "# The page under load",
        "",
        f"Written by `python -m benchmarks operations {options}`, which starts the app with the nano on loopback and uses",
        "it like browsers and programs do. Limits for each address are off (`--trusted`), as all visitors come from one.",
        "",
        f"{where['hardware']}, {where['date']}, commit {where['commit']}"
        f"{', with uncommitted changes' if where.get('uncommitted_changes') else ''}. {busy_words(record['busy_before'])}",
        "",
        "| Visitors at once | answers | answers a second | first word, s | first mask, s | whole answer, s |",
        "|---:|---:|---:|---:|---:|---:|",
        *(_row(one) for one in (*record["few"], crowded)),
        "",
        "Seconds are p50 / p95. One request to `/segment` after another, drawing and polygons included, takes"
        f" {_shown(soaked['request_s'])} s (n {soaked['request_s']['n']}).",
        "",
        f"- **Soak**: {config['requests']} requests, {soaked['failures']} failed; then {config['visits']} visits that were",
        "  abandoned, every tenth in the middle of an answer.",
        f"- **Memory** of the app and its decoders: {memory['before'] / MB:.0f} MB before, {memory['most'] / MB:.0f} MB at most,",
        f"  {memory['after'] / MB:.0f} MB afterwards ({grown:+.0f} MB). With the crowd {crowded['most_resident_bytes'] / MB:.0f} MB at most.",
        f"- **Crowd**: {crowded['questions']} questions, {crowded['failures']} without an answer.",
        *(f"  The page said: “{problem}”" for problem in crowded["problems"]),
        f"- **Full house**: of {house['asked']} questions at once {house['let_in']} were let in and {house['refused']} refused.",
        *(f"  They were told: “{sentence}”" for sentence in house["sentences"]),
        f"- **Everybody leaves**: {house['free_after_s']:.0f} s later no question was open.",
        "",
        "An answer that nobody waits for ends before its next token; that its reader has gone is noticed within 3 s. One",
        "visitor has one answer at a time and one place in the queue, one address 4 questions (`--per-address`).",
        "`--max-seconds` bounds an answer.",
    ]
    return "\n".join(lines) + "\n"


def _row(found: dict[str, Any]) -> str:
    times = (_shown(found[key]) for key in ("first_word_s", "first_mask_s", "total_s"))
    return f"| {found['visitors']} | {found['total_s']['n']} | {found['answers_per_s']:.1f} | {' | '.join(times)} |"


def _shown(found: dict[str, Any]) -> str:
    return " / ".join("unknown" if found[key] is None else f"{found[key]:.2f}" for key in ("p50", "p95"))

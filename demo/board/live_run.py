"""A live run: measures a few methods on a few samples and compares them with the stored results of these samples."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.reporting.report_table import UNKNOWN, interval, number
from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.records import Record
from benchmarks.scoring.scores import cost_of, scores_of
from demo.background import batches
from demo.board.library import NO_DATA, Library
from demo.board.live import BUSY, CAP_S, NOT_LOADED, Deadline, MethodPool, Refused
from demo.board.names import method_name
from demo.board.results import ALL, Results
from demo.board.stored_report import CONVENTION
from demo.html import literal

if TYPE_CHECKING:
    from benchmarks.datasets.sample import Dataset, Sample
    from benchmarks.methods import Method

log = logging.getLogger(__name__)

MAX_SAMPLES = 20
WENT_WRONG = "Something went wrong; the server's log says what."


@dataclass(frozen=True)
class Order:
    """What to run, for whom. split, kind: "all" for any. n: samples in all."""

    dataset: str
    split: str
    kind: str
    labels: tuple[str, ...]
    n: int
    visitor: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MAX_SAMPLES:
            raise ValueError(f"a live run takes 1 to {MAX_SAMPLES} samples, got {self.n}")


@dataclass(frozen=True)
class Ready:
    """Samples are chosen and methods loaded. answers: that will be measured. missing: methods that did not load.

    hardware: of this machine. checkpoints: hash of each method's, by label; None if unknown.
    """

    answers: int
    missing: tuple[str, ...]
    hardware: str
    checkpoints: dict[str, str | None]


@dataclass(frozen=True)
class Doing:
    """What happens before the first record."""

    sentence: str


RunEvent = Ready | Doing | Refused | Record
#: From a method's measured records and its checkpoint to (the stored ones, where those were measured); see `committed`.
Before = Callable[[Sequence[Record], str | None], tuple[list[Record], str]]


def run_events(pool: MethodPool, library: Library, order: Order, stop: threading.Event) -> Iterator[list[RunEvent]]:
    """The run, in `demo.background.batches`: first Ready, then the record of each answer as soon as it is measured."""
    return batches(partial(_run, pool, library, order, stop), stop, "live run")


def _run(
    pool: MethodPool, library: Library, order: Order, stop: threading.Event, put: Callable[[RunEvent], None]
) -> None:
    with pool.turn(order.visitor) as mine:
        if not mine:
            put(Refused(BUSY))
            return
        try:
            _measure(pool, library, order, stop, put)
        except Exception:
            log.exception("a live run failed")
            put(Refused(WENT_WRONG))


def _measure(
    pool: MethodPool, library: Library, order: Order, stop: threading.Event, put: Callable[[RunEvent], None]
) -> None:
    from benchmarks.running.measuring import run_samples

    put(Doing("Reading the samples…"))
    if (dataset := library.dataset(order.dataset, (order.split,))) is None:
        put(Refused(NO_DATA.format(order.dataset)))
        return
    samples = choose(dataset, order)
    methods, missing = _load(pool, order.labels, stop, put)
    if stop.is_set() and not methods:
        return
    if not methods or not samples:
        put(Refused(f"Nothing to run: {_named(missing) or 'no sample'} {NOT_LOADED if missing else 'matches'}."))
        return
    about = {label: method.provenance() for label, method in methods.items()}
    hardware = str(next(iter(about.values())).get("hardware"))
    checkpoints = {label: one.get("checkpoint_sha256") for label, one in about.items()}
    put(Ready(len(samples) * len(methods), tuple(missing), hardware, checkpoints))
    records, deadline = run_samples([*methods.values()], samples, warmups=0), Deadline(stop)
    while not deadline.is_set():
        with pool.machine(deadline.is_set) as held:
            deadline.start()
            if not held or (record := next(records, None)) is None:
                return
        put(record)


def choose(dataset: "Dataset", order: Order) -> "list[Sample]":
    """At most `order.n` samples of the split and the kind, evenly from all splits, always the same ones."""
    from benchmarks.running.runner import choose_samples

    wanted = {"split": order.split, "kind": order.kind}
    samples = [
        sample
        for sample in dataset.samples
        if all(value in (ALL, getattr(sample, name)) for name, value in wanted.items())
    ]
    splits = len({sample.split for sample in samples}) or 1
    return choose_samples(samples, -(-order.n // splits), seed=0)[: order.n]


def _load(
    pool: MethodPool, labels: Sequence[str], stop: threading.Event, put: Callable[[RunEvent], None]
) -> "tuple[dict[str, Method], list[str]]":
    """(methods that could be loaded, by label; labels of the others)."""
    methods, missing = {}, []
    for label in labels:
        put(Doing(f"Loading {method_name(label)}…"))
        with pool.machine(stop.is_set) as held:
            if not held:
                break
            try:
                methods[label] = pool.get(label)
            except Exception:
                log.exception("%s cannot be loaded", label)
                missing.append(label)
    return methods, missing


# -- what the page shows -----------------------------------------------------------------------------------------


@dataclass
class Progress:
    """A run so far."""

    order: Order
    started: float = field(default_factory=time.monotonic)
    ready: Ready | None = None
    doing: str = "Starting…"
    refused: str | None = None
    records: list[Record] = field(default_factory=list)

    def take(self, event: RunEvent) -> None:
        """Note an event."""
        match event:
            case Ready():
                self.ready, self.started = event, time.monotonic()
            case Doing():
                self.doing = event.sentence
            case Refused():
                self.refused = event.sentence
            case _:
                self.records.append(event)

    def state(self) -> str:
        """Progress of the run, and the estimated remaining time."""
        if self.refused is not None:
            return self.refused
        if self.ready is None:
            return self.doing
        done, total = len(self.records), self.ready.answers
        sentence = f"{done} of {total} answers"
        if 0 < done < total:
            left_s = (time.monotonic() - self.started) / done * (total - done)
            sentence += f", about {left_s:.0f} s left"
        return sentence

    def ending(self, *, stopped: bool) -> str:
        """How the run ended."""
        if self.refused is not None or self.ready is None:
            return self.refused or "Stopped before the first answer."
        done, total = len(self.records), self.ready.answers
        if done == total:
            return f"Done: {total} answers."
        why = "Stopped" if stopped else f"The time limit of {CAP_S:.0f} s was reached"
        return f"{why} after {done} of {total} answers. The figures cover these."


def progress_html(progress: Progress, before: Before, sentence: str) -> str:
    """The bar, the sentence, and a table of what was measured beside the stored results."""
    ready = progress.ready
    share = len(progress.records) / ready.answers if ready else 0.0
    now = f'aria-valuenow="{100 * share:.0f}" aria-valuemin="0" aria-valuemax="100"'
    bar = f'<div class="bar" role="progressbar" aria-label="Progress" {now}>'
    bar += f'<i style="width:{100 * share:.1f}%"></i></div><p>{literal(sentence)}</p>'
    if not progress.records or ready is None:
        return bar
    missing = f"<p>{literal(_named(ready.missing))} {NOT_LOADED}.</p>" if ready.missing else ""
    return bar + missing + _table(progress, ready, before)


def _table(progress: Progress, ready: Ready, before: Before) -> str:
    head = ("Method", "Where", "Answers", "gIoU", "Questions right", "Seconds (median)", "Tokens")
    lines = []
    for label in dict.fromkeys(record.label for record in progress.records):
        own = [record for record in progress.records if record.label == label]
        lines.append(_line(method_name(label), f"measured now on {ready.hardware}", own, "now"))
        found, where = before(own, ready.checkpoints.get(label))
        lines.append(_line("", where, found, "before"))
    note = "Stored results are of the same samples. First answers include warm-up."
    headings = "".join(f'<th scope="col">{name}</th>' for name in head)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Results of this run"><table class="ranking live">'
        f'<thead><tr>{headings}</tr></thead><tbody>{"".join(lines)}</tbody></table></div><p class="muted">{note}</p>'
    )


def _line(label: str, where: str, records: Sequence[Record], kind: str) -> str:
    cells = [label, where, str(len(records)) if records else UNKNOWN, *_figures(records)]
    first = f'<th scope="row">{literal(cells[0])}</th>' if cells[0] else "<td></td>"
    return f'<tr class="{kind}">{first}{"".join(f"<td>{literal(cell)}</td>" for cell in cells[1:])}</tr>'


def _figures(records: Sequence[Record]) -> list[str]:
    if not records:
        return [UNKNOWN] * 4
    scores = scores_of(records, CONVENTIONS[CONVENTION])
    cost = cost_of([record for record in records if record.no_target is not None])
    shown = [None if (score := scores[name]) is None else vars(score) for name in ("gIoU", "dialogue")]
    return [*(interval(one, digits=2) for one in shown), number(cost.median_s), number(cost.median_tokens)]


def _named(labels: Sequence[str]) -> str:
    return ", ".join(method_name(label) for label in labels)


def committed(
    results: Results, library: Library, records: Sequence[Record], checkpoint: str | None
) -> tuple[list[Record], str]:
    """(the stored records of the same samples, method and checkpoint, where they were measured); or why there are none.

    checkpoint: its hash, as in `run.json`.
    """
    keys = {record.key for record in records}
    reason = "no stored results of these samples"
    for run in results.runs:
        found = [record for record in run.records if record.key in keys]
        if not found or library.of_run(run)[0] is None:
            continue
        if run.of_method(found[0].label, "checkpoint_sha256") == checkpoint:
            return found, f"stored, {run.of_method(found[0].label, 'hardware')}"
        reason = "stored results are of another checkpoint"
    return [], reason

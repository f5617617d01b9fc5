"""Seconds per answer on a CPU, by the number of torch's threads and how they wait, on an idle and on a busy machine.

The wait policy is read when torch is imported, so each setting has its own process, which loads the model once. The
processes take turns, answer by answer, so that a drift of the machine affects all alike; the others sleep meanwhile.
Then everything is repeated beside processes that only burn CPU time. The measured window is that of
`benchmarks.studies.speed`.

If something else runs on the machine, the idle half cannot be measured and its seconds are null.
"""

import json
import multiprocessing
import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.provenance import provenance
from benchmarks.studies.other_load import MOST_WHEN_IDLE, busy_process, busy_share, busy_words
from benchmarks.studies.speed import SpeedConfig, measure, picture, speed_cases
from stamp.checkpoints.load_options import LoadOptions
from stamp.predictor import StampPredictor

POLICY = "OMP_WAIT_POLICY"


@dataclass(frozen=True)
class Setting:
    """policy: how threads wait, "PASSIVE" (asleep), or None for libgomp's default. threads: torch's."""

    policy: str | None
    threads: int


@dataclass(frozen=True)
class ThreadsConfig:
    """What to measure. threads: numbers to try. busy: processes that load the CPU during the second half."""

    threads: tuple[int, ...]
    busy: int = 1
    repeats: int = 10
    warmups: int = 2
    side_px: int = 448

    def __post_init__(self) -> None:
        for name in ("busy", "repeats", "side_px"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not self.threads or min(self.threads) < 1:
            raise ValueError(f"threads must all be at least 1, got {self.threads}")

    def settings(self) -> list[Setting]:
        """All of them."""
        return [Setting(policy, threads) for policy in ("PASSIVE", None) for threads in self.threads]


def run_threads(options: LoadOptions, config: ThreadsConfig, out: Path) -> dict[str, Any]:
    """Measure, write the record to the file `out`, and return it. options: how to load the model."""
    load = busy_share()
    settings = config.settings()
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(setting, options, config.side_px)) for setting in settings]
        try:
            about = next(worker.recv() for worker in workers)
        except EOFError as error:
            raise ValueError("The model could not be loaded; see the error above.") from error
        idle = None if load > MOST_WHEN_IDLE else _rounds(workers, config, "idle")
        for _ in range(config.busy):
            stack.enter_context(busy_process())
        busy = _rounds(workers, config, "busy")
    record = {
        "provenance": about | {"threads": None, "config": asdict(config), "busy_before": load},
        "rows": [
            asdict(setting) | {"idle_s": None if idle is None else idle[number], "busy_s": busy[number]}
            for number, setting in enumerate(settings)
        ],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _rounds(workers: Sequence[Connection], config: ThreadsConfig, name: str) -> list[list[float]]:
    """Seconds of each worker's answers, in the order of the rounds."""
    seconds: list[list[float]] = [[] for _ in workers]
    for number in tqdm(range(-config.warmups, config.repeats), desc=name, unit="round"):
        order = range(len(workers)) if number % 2 else reversed(range(len(workers)))
        for index in order:
            workers[index].send(True)
            spent = workers[index].recv()
            if number >= 0:
                seconds[index].append(spent)
    return seconds


@contextmanager
def _worker(setting: Setting, options: LoadOptions, side_px: int) -> Iterator[Connection]:
    """A process with one setting: sends its provenance, then answers each request with the seconds of one answer."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    before = os.environ.pop(POLICY, None)
    if setting.policy is not None:
        os.environ[POLICY] = setting.policy
    process = context.Process(target=_answer_on_demand, args=(there, setting.threads, options, side_px), daemon=True)
    try:
        process.start()  # with the environment of this setting
    finally:
        os.environ.pop(POLICY, None)
        if before is not None:
            os.environ[POLICY] = before
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join()


def _answer_on_demand(parent: Connection, threads: int, options: LoadOptions, side_px: int) -> None:
    torch.set_num_threads(threads)
    predictor = StampPredictor.load(options)
    image = picture(side_px)
    case = next(case for case in speed_cases(predictor.processor, SpeedConfig()) if case.name == "one_mask")
    try:
        parent.send(provenance(predictor, options.model))
        while parent.recv():
            parent.send(measure(predictor, image, case, "ours").wall_s)
    except (EOFError, BrokenPipeError):  # the parent is done
        pass


def threads_table(record: dict[str, Any]) -> str:
    """Markdown: median seconds per answer, and in brackets the ratio to the fastest setting of the column."""
    about = record["provenance"]
    beside = f"beside {about['config']['busy']} busy"
    names = {"idle_s": "idle", "busy_s": beside}
    medians = {
        column: [None if row[column] is None else statistics.median(row[column]) for row in record["rows"]]
        for column in names
    }
    lines = [f"| how threads wait | threads | {' | '.join(names.values())} |", "|---|---:|---:|---:|"]
    for number, row in enumerate(record["rows"]):
        cells = [_cell(medians[column][number], medians[column]) for column in names]
        wait = "asleep (PASSIVE)" if row["policy"] else "spinning (libgomp's own)"
        lines.append(f"| {wait} | {row['threads']} | {' | '.join(cells)} |")
    load = busy_words(about["busy_before"])
    facts = f"{about['hardware']}; n = {about['config']['repeats']}, {about['dtype']}, {about['date']}"
    return "\n".join([*lines, "", f"{facts}, commit {about['commit']}. {load}"])


def _cell(value: float | None, column: Sequence[float | None]) -> str:
    if value is None:
        return "null"
    best = min(one for one in column if one is not None)
    return f"{value:.3g} s ({value / best:.1f})"

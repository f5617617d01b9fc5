"""`python -m benchmarks throughput`: answers a second with one request in flight, and with eight.

A request is what `benchmarks.running.measuring` times: PIL picture and prompt in, boolean masks at the picture's size
out. Requests in flight are threads of one process that share the model. Nothing is batched: forward passes take turns.
So eight in flight gain only what one request leaves unused, such as the time in which masks are drawn.

All methods are in one run. In a block one method answers all samples with one number in flight; near its end fewer are
left than that. A round has a block of each method and number. Every other round goes backwards, so that drift of the
machine affects all alike. Raw rows are written first; the summary is made from the rows alone.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from benchmarks.checkpoints import BACKBONE, MethodOptions, add_method_options, missing_checkpoints
from benchmarks.reporting.report_table import markdown, number
from benchmarks.studies.other_load import busy_share, busy_words

if TYPE_CHECKING:  # the page reads the file and needs no model
    from PIL import Image

    from benchmarks.datasets.sample import Sample
    from benchmarks.methods import Method

ROWS_FILE, SUMMARY_FILE = "throughput.jsonl", "throughput.json"
#: Numbers of requests in flight: the first is compared with the last.
IN_FLIGHT = (1, 8)
SHARED_FACTS = ("hardware", "device", "dtype", "threads", "date", "commit", "uncommitted_changes", "python", "torch")
OWN_FACTS = ("model", "checkpoint_sha256", "precision", "refine", "max_new_tokens")


@dataclass(frozen=True)
class ThroughputConfig:
    """What to measure. limit: requests for a mask per split, drawn with `seed`. rounds: an even number is fairest."""

    methods: tuple[str, ...]
    limit: int = 8
    seed: int = 0
    rounds: int = 4

    def __post_init__(self) -> None:
        for name, least in (("limit", 1), ("seed", 0), ("rounds", 1)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")


@dataclass(frozen=True)
class Row:
    """A block. seconds: from the first request to the last answer. errors: a sentence for each unanswered request."""

    method: str
    in_flight: int
    round: int
    answers: int
    seconds: float
    errors: tuple[str, ...] = ()


def add_throughput_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--methods", nargs="+", default=["all"], help="NAME or NAME:VARIANT of each, or all (default)")
    parser.add_argument("--root", type=Path, help="folder of scenes (default: the project's own)")
    for name, text in (
        ("limit", "requests for a mask per split"),
        ("seed", "seed that draws them"),
        ("rounds", "measured rounds"),
    ):
        default = getattr(ThroughputConfig, name)
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default: {default})")
    parser.add_argument("--out", type=Path, required=True, help=f"folder for {ROWS_FILE} and {SUMMARY_FILE}")
    add_method_options(parser)


def labels_to_measure(wanted: Sequence[str], options: MethodOptions) -> tuple[str, ...]:
    """The methods by label; "all" is every one with a checkpoint and with masks, and the others are named on stderr.

    Raises ValueError for a wrong name, and for the backbone.
    """
    from benchmarks.methods import method_labels

    absent = missing_checkpoints(options) | {BACKBONE: "It draws no masks."}
    for name, sentence in absent.items() if "all" in wanted else ():
        print(f"left out: {name}. {sentence}", file=sys.stderr)
    labels = method_labels(wanted, absent)
    if talkers := [label for label in labels if label.partition(":")[0] == BACKBONE]:
        raise ValueError(f"{talkers[0]} draws no masks, and the throughput is of requests for a mask.")
    return labels


def run_throughput(
    config: ThroughputConfig, options: MethodOptions, out: Path, root: Path | None = None
) -> dict[str, Any]:
    """Load and measure; write `throughput.jsonl` (each row at once) and `throughput.json`; return the latter's content.

    Raises ValueError: a method or a sample that cannot be read, or too few samples to be in flight at once.
    """
    from benchmarks.datasets import open_dataset
    from benchmarks.datasets.sample import MaskSample
    from benchmarks.methods import load_methods
    from benchmarks.running.measuring import warm_up
    from benchmarks.running.runner import choose_samples
    from benchmarks.studies.speed import write_rows
    from stamp.files import check_writable, write_atomically

    check_writable(out)
    config = replace(config, methods=labels_to_measure(config.methods, options))
    asked = [one for one in open_dataset("scenes", ("all",), root).samples if isinstance(one, MaskSample)]
    samples = choose_samples(asked, config.limit, config.seed)
    if len(samples) < max(IN_FLIGHT):
        raise ValueError(
            f"{len(samples)} samples cannot be {max(IN_FLIGHT)} requests in flight; choose a larger --limit."
        )
    busy_before = busy_share()
    methods = dict(zip(config.methods, load_methods(config.methods, options), strict=True))
    warm_up(list(methods.values()), {sample.kind: sample for sample in samples}.values(), 1)
    out.mkdir(parents=True, exist_ok=True)
    rows = write_rows(measure_all(methods, samples, config.rounds), out / ROWS_FILE)
    facts = {label: method.provenance() | {"precision": method.precision} for label, method in methods.items()}
    shared = {name: facts[config.methods[0]].get(name) for name in SHARED_FACTS}
    record = {
        "provenance": shared
        | {"n": config.rounds, "samples": len(samples), "busy_before": busy_before, "config": asdict(config)},
        "methods": {
            label: {name: facts[label].get(name) for name in OWN_FACTS} | summary
            for label, summary in summarise(rows).items()
        },
    }
    write_atomically(out / SUMMARY_FILE, json.dumps(record, indent=1) + "\n")
    return record


def measure_all(methods: Mapping[str, "Method"], samples: Sequence["Sample"], rounds: int) -> Iterator[Row]:
    """Rows in the order of measurement. methods: by label. samples: requests for a mask; pictures are read first."""
    images = [sample.load_image() for sample in samples]
    blocks = [(label, in_flight) for label in methods for in_flight in IN_FLIGHT]
    with tqdm(total=rounds * len(blocks), desc="throughput", unit="block") as bar:
        for turn in range(rounds):
            for label, in_flight in blocks if turn % 2 == 0 else blocks[::-1]:
                bar.set_postfix_str(f"{label}, {in_flight} in flight")
                prompts = [methods[label].prompt(sample) for sample in samples]
                requests = list(zip(images, prompts, strict=True))
                seconds, errors = measure_block(methods[label], requests, in_flight)
                yield Row(label, in_flight, turn, len(requests) - len(errors), seconds, errors)
                bar.update()


def measure_block(
    method: "Method", requests: Sequence[tuple["Image.Image", str]], in_flight: int
) -> tuple[float, tuple[str, ...]]:
    """(seconds, errors) of all requests, at most `in_flight` at a time. After an exception, the others go on."""
    from benchmarks.instruments import wait_for
    from benchmarks.running.measuring import measure

    errors: list[str] = []

    def answer(request: tuple["Image.Image", str]) -> None:
        try:
            measure(method, *request)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")

    wait_for(method.device)
    start = time.perf_counter()
    with ThreadPoolExecutor(in_flight) as pool:
        list(pool.map(answer, requests))
    wait_for(method.device)
    return time.perf_counter() - start, tuple(errors)


# -- from rows to figures ------------------------------------------------------------------------------------------


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Per method: answers a second by number in flight, and the ratio of the last number to the first.

    Each has the median and the range over rounds; "median" of the ratio is that of the medians, as in `scale`.
    """
    summary: dict[str, dict[str, Any]] = {}
    for label in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == label]
        rates = [[row.answers / row.seconds for row in own if row.in_flight == many] for many in IN_FLIGHT]
        found = [_spread(values) for values in rates]
        by_round = [_divide(last, first) for first, last in zip(rates[0], rates[-1], strict=True)]
        known = [ratio for ratio in by_round if ratio is not None]
        summary[label] = {
            "answers_per_s": {str(many): one for many, one in zip(IN_FLIGHT, found, strict=True)},
            "ratio": {
                "median": _divide(found[-1]["median"], found[0]["median"]),
                "least": min(known, default=None),
                "most": max(known, default=None),
            },
            "errors": sum(len(row.errors) for row in own),
        }
    return summary


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def _divide(top: float, bottom: float) -> float | None:
    return top / bottom if bottom > 0 else None


def throughput_table(record: dict[str, Any]) -> str:
    """Markdown, one line per method, and a line with what all have in common."""
    header = ["method", "precision", *(f"answers/s, {many} in flight" for many in IN_FLIGHT)]
    lines = [
        [label, one["precision"], *(shown(one["answers_per_s"][str(many)]) for many in IN_FLIGHT)]
        + [shown(one["ratio"]), str(one["errors"])]
        for label, one in record["methods"].items()
    ]
    table = markdown([*header, f"{IN_FLIGHT[-1]} over {IN_FLIGHT[0]}", "errors"], lines, words=2)
    return f"{table}\n\nIn brackets: least and most of the rounds. {origin(record)}"


def shown(spread: Mapping[str, float | None]) -> str:
    """ "2.51 [2.4, 2.62]"."""
    return f"{number(spread['median'])} [{number(spread['least'])}, {number(spread['most'])}]"


def origin(record: Mapping[str, Any]) -> str:
    """Where the figures come from, and how busy the machine was, in sentences."""
    about = record["provenance"]
    changed = " with uncommitted changes" if about["uncommitted_changes"] else ""
    return (
        f"{about['n']} rounds of {about['samples']} requests; {about['hardware']}, {about['dtype']}, "
        f"{about['threads']} thread{'s' * (about['threads'] != 1)}; {about['date']}, commit {about['commit']}{changed}."
        f" {busy_words(about['busy_before'])}"
    )

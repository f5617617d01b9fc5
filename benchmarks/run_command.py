"""`python -m benchmarks run`: runs methods over a dataset, from the options to the report."""

import argparse
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from benchmarks.checkpoints import MethodOptions, add_method_options, missing_checkpoints, read_method_options
from stamp.stopping import INTERRUPTED


@dataclass(frozen=True)
class RunOptions:
    """What to run. out: folder of the records; a run in it is resumed. root: folder of the dataset; see `--root`.

    split, methods: "all" stands for all there are. limit: samples per split, drawn with `seed`; None is all.
    warmups: warm-up answers to a sample of each kind. memory: measure each method's memory after the timed pass.
    retry_errors: repeat measurements that ended in an error. kinds: of requests and questions; None is all.
    seconds: whether they count; False if other work runs beside.
    """

    dataset: str
    out: Path
    split: tuple[str, ...] = ("all",)
    root: Path | None = None
    methods: tuple[str, ...] = ("all",)
    kinds: tuple[str, ...] | None = None
    limit: int | None = None
    seed: int = 0
    warmups: int = 1
    memory: bool = True
    retry_errors: bool = False
    seconds: bool = True
    loading: MethodOptions = field(default_factory=MethodOptions)


def add_run_options(run: argparse.ArgumentParser) -> None:
    """Add an option for everything in RunOptions; `read_run_options` reads them."""
    run.add_argument("--dataset", required=True, help="scenes, refcoco, refcoco+, refcocog, grefcoco, reasonseg, ...")
    run.add_argument("--split", nargs="+", default=RunOptions.split, help="splits, or all (default)")
    run.add_argument("--root", type=Path, help="folder of the dataset; not needed for the project's own scenes")
    run.add_argument(
        "--methods", nargs="+", default=RunOptions.methods, help="NAME or NAME:VARIANT of each, or all (default)"
    )
    run.add_argument("--kinds", nargs="+", help="kinds of requests and questions, as in a report (default: all)")
    run.add_argument("--limit", type=int, help="samples per split (default: all)")
    run.add_argument("--seed", type=int, default=RunOptions.seed, help="seed that draws the samples of --limit")
    run.add_argument("--warmups", type=int, default=RunOptions.warmups, help="warm-up answers to a sample of each kind")
    run.add_argument(
        "--memory",
        action=argparse.BooleanOptionalAction,
        default=RunOptions.memory,
        help="also measure each method's memory after the timed pass (default)",
    )
    run.add_argument(
        "--seconds",
        action=argparse.BooleanOptionalAction,
        default=RunOptions.seconds,
        help="whether they count (default); with --no-seconds, for a run beside other work, no report shows them",
    )
    run.add_argument("--retry-errors", action="store_true", help="repeat measurements that ended in an error")
    run.add_argument("--out", type=Path, required=True, help="folder for the records; a run in it is resumed")
    add_method_options(run)


def read_run_options(given: argparse.Namespace) -> RunOptions:
    """The values of `add_run_options`."""
    values = {one.name: getattr(given, one.name) for one in fields(RunOptions) if one.name != "loading"}
    lists = {name: tuple(values[name]) for name in ("split", "methods", "kinds") if values[name] is not None}
    return RunOptions(**(values | lists), loading=read_method_options(given))


def run(options: RunOptions) -> int:
    """Measure and write the report; returns the exit status: 0, or INTERRUPTED.

    Raises ValueError and OSError if something cannot be measured or read.
    """
    from benchmarks.datasets import open_dataset
    from benchmarks.methods import load_methods, method_labels
    from benchmarks.reporting.report import write_report
    from benchmarks.running.memory import measure_memory, one_of_each_kind
    from benchmarks.running.processes import this_process
    from benchmarks.running.run_file import RunConfig
    from benchmarks.running.runner import choose_samples, run_benchmark
    from stamp.files import check_writable

    check_writable(options.out)
    process = this_process(options.loading.load.device)
    loading = replace(options.loading, load=replace(options.loading.load, device=process.device))
    absent = missing_checkpoints(loading)
    labels = method_labels(options.methods, absent)
    if process.rank == 0:
        for name, sentence in absent.items() if "all" in options.methods else ():
            print(f"left out: {name}. {sentence}", file=sys.stderr)
        print(f"reading {options.dataset}", file=sys.stderr)
    dataset = open_dataset(options.dataset, options.split, options.root)
    config = RunConfig(
        dataset.name,
        dataset.splits,
        labels,
        limit=options.limit,
        seed=options.seed,
        warmups=options.warmups,
        processes=process.world,
        kinds=options.kinds,
        seconds=options.seconds,
    )
    try:
        methods = load_methods(labels, loading)
        run_benchmark(dataset, methods, config, options.out, process, options.retry_errors)
        if options.memory and process.rank == 0:
            samples = choose_samples(dataset.samples, config.limit, config.seed, config.kinds)
            requests = {label: one_of_each_kind(samples, one) for label, one in zip(labels, methods, strict=True)}
            methods.clear()  # frees memory for the processes that load them again
            measure_memory(options.out, requests, loading, options.retry_errors)
    except KeyboardInterrupt:
        print(f"stopped; the results so far are in {options.out}; the same command resumes the run", file=sys.stderr)
        return INTERRUPTED
    if process.rank == 0:
        print(write_report(options.out))
    return 0

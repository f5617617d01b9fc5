"""Command line: `python -m benchmarks COMMAND`; `--help` lists the commands."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil

from benchmarks.run_command import INTERRUPTED, add_run_options, read_run_options, run
from benchmarks.studies.operations import add_operations_options
from benchmarks.studies.throughput import add_throughput_options
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT
from stamp.options import add_model_options, read_model_options
from stamp.threads import let_threads_sleep


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure STAMP against others.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_run_options(commands.add_parser("run", help="run methods over a dataset: one record per answer"))
    report = commands.add_parser("report", help="write the tables of a run from its records alone")
    report.add_argument("folder", type=Path)
    report.add_argument("--check", action="store_true", help="only check the stored report; exits with 1 if it differs")
    report.add_argument("--convention", default="ours", help="evaluation to follow: ours, lisa or gres")
    compare = commands.add_parser("compare", help="compare two runs: exits with 1 if any score differs")
    compare.add_argument("a", type=Path)
    compare.add_argument("b", type=Path)
    compare.add_argument("--tolerance", type=float, default=0.0, help="largest difference that is ignored")
    each = commands.add_parser("each", help="IoU of each target of requests for several things, from a run's records")
    each.add_argument("folder", type=Path)
    each.add_argument("--root", type=Path, help="folder of the scene set; not needed for the project's own scenes")
    gallery = commands.add_parser("gallery", help="a method's worst answers in a run, as one picture")
    gallery.add_argument("folder", type=Path)
    gallery.add_argument("--root", type=Path, help="folder of the dataset; not needed for the project's own scenes")
    gallery.add_argument("--method", default="stamp", help="NAME or NAME:VARIANT")
    gallery.add_argument("--each", type=int, default=2, help="answers per kind of request")
    gallery.add_argument("--out", type=Path, required=True, help="picture to write")
    figures = commands.add_parser("figures", help="measure every figure of the nano's model card and write the card")
    figures.add_argument("--model", type=Path, default=EMBEDDED_CHECKPOINT, help="checkpoint folder; gets the card")
    figures.add_argument("--run", type=Path, help="folder of the training run (default: the model's record)")
    figures.add_argument("--art", type=Path, default=Path("art"), help="folder of the installed artwork")
    figures.add_argument("--photos", type=Path, help="folder of photographs with masks; measures the held-out ones")
    figures.add_argument("--scenes", type=int, default=100, help="unseen scenes for precision and edges")
    figures.add_argument("--device", default="auto")
    figures.add_argument("--out", type=Path, required=True, help="folder for the records; a run in it is resumed")
    _add_studies(commands)
    _add_train(commands.add_parser("train", help="train a compared method: sweep, training, card"))
    return parser


def _add_studies(commands: Any) -> None:
    speed = commands.add_parser("speed", help="seconds per phase: ours against the algorithm as released")
    speed.add_argument("--out", type=Path, required=True, help="folder for speed.jsonl and speed.json")
    speed.add_argument("--masks", type=int, default=8, help="number of masks in the many-mask answer")
    speed.add_argument("--repeats", type=int, default=3, help="measured runs per method")
    speed.add_argument("--warmups", type=int, default=1, help="warm-up runs per method")
    scale = commands.add_parser("scale", help="time the four paradigms on answers of given lengths")
    scale.add_argument("--out", type=Path, required=True, help="folder for scale.jsonl and scale.json")
    scale.add_argument("--polygon-tokens", type=int, default=221, help="tokens of a polygon as text")
    scale.add_argument("--patch-text-tokens", type=int, default=154, help="tokens of 16 x 16 labels as run lengths")
    scale.add_argument("--full-text-tokens", type=int, default=583, help="tokens of 16 x 16 labels, one by one")
    scale.add_argument("--talk-tokens", type=int, default=11, help="tokens of the words before the mask")
    scale.add_argument("--repeats", type=int, default=3, help="measured rounds; every method runs once per round")
    scale.add_argument("--warmups", type=int, default=1, help="warm-up rounds")
    targets = commands.add_parser("targets", help="time the mask phase of answers with 1, 2, 4, 8 and 16 targets")
    targets.add_argument("--out", type=Path, required=True, help="folder for targets.jsonl and targets.json")
    targets.add_argument("--targets", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="numbers of targets")
    targets.add_argument("--repeats", type=int, default=3, help="measured rounds; both heads run in each")
    targets.add_argument("--warmups", type=int, default=1, help="warm-up rounds")
    formats = commands.add_parser(
        "formats", help="what each way to give a mask allows at best; needs no model's answers"
    )
    formats.add_argument("--out", type=Path, required=True, help="folder for formats.jsonl and formats.json")
    formats.add_argument("--model", type=Path, default=EMBEDDED_CHECKPOINT, help="checkpoint whose grid is used")
    formats.add_argument("--limit", type=int, default=60, help="requests of each split, drawn at random")
    footprint = commands.add_parser("footprint", help="seconds and memory to load one checkpoint and answer once")
    footprint.add_argument("--out", type=Path, required=True, help="JSON-lines file; a row is appended")
    threads = commands.add_parser(
        "threads", help="seconds per answer by number of torch threads, idle and beside busy processes"
    )
    threads.add_argument("--out", type=Path, required=True, help="JSON file to write")
    threads.add_argument("--threads", type=int, nargs="+", help="thread counts to try (default: 1 and one per core)")
    threads.add_argument("--busy", type=int, default=1, help="processes that load the CPU during the second half")
    threads.add_argument("--repeats", type=int, default=10, help="measured answers per setting")
    threads.add_argument("--warmups", type=int, default=2, help="warm-up answers per setting")
    threads.add_argument("--side-px", type=int, default=448, help="side of the square picture")
    add_model_options(threads)
    add_operations_options(commands.add_parser("operations", help="memory and seconds of the page under load"))
    add_throughput_options(
        commands.add_parser("throughput", help="answers a second with 1 and with 8 requests in flight")
    )
    vision = commands.add_parser("vision", help="seconds per phase: the vision tower in int8 and in full precision")
    vision.add_argument("--out", type=Path, required=True, help="folder for vision.jsonl and vision.json")
    vision.add_argument("--repeats", type=int, default=2, help="measured answers per tower, picture and load")
    for command in (speed, scale, targets, footprint, vision):
        command.add_argument("--side-px", type=int, default=896, help="side of the square picture")
        command.add_argument(
            "--clock", choices=("wall", "cpu"), default="wall", help="cpu: on a CPU shared with others"
        )
        add_model_options(command)


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument(
        "--methods", nargs="+", default=["stamp", "polygon", "patch_text", "embedding"], help="all learn at once"
    )
    start = train.add_mutually_exclusive_group(required=True)
    start.add_argument("--from", dest="backbone", type=Path, help="checkpoint folder that all start from")
    start.add_argument("--onward", type=Path, help="folder of trained methods that go on, named as in assets/")
    train.add_argument("--steps", type=int, required=True, help="steps of the whole training, of 8 pictures a process")
    train.add_argument("--sweep-steps", type=int, help="steps of the short run per rate (default: a twentieth)")
    train.add_argument("--rates", type=float, nargs="+", default=[3e-4, 6e-4, 1.2e-3], help="learning rates to try")
    train.add_argument("--grid", type=int, default=12, help="approximate cells per side: 6, 12, 16 or 24")
    train.add_argument("--photos", type=Path, help="folder of photographs with masks; also needed for a model of them")
    train.add_argument("--art", type=Path, default=Path("art"), help="folder of the installed artwork")
    train.add_argument("--device", default="auto")
    train.add_argument("--workers", type=int, default=1, help="processes that compose scenes")
    train.add_argument("--compile", action="store_true", help="torch.compile the text models (needs a C++ compiler)")
    train.add_argument("--out", type=Path, required=True, help="folder of the run; a run in it is resumed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Bad input prints one sentence to stderr and returns 2."""
    let_threads_sleep()
    options = build_parser().parse_args(arguments)
    commands = {
        "run": lambda options: run(read_run_options(options)),
        "report": _report,
        "compare": _compare,
        "each": _each,
        "gallery": _gallery,
        "figures": _figures,
        "train": _train,
        "speed": _speed,
        "scale": _scale,
        "targets": _targets,
        "footprint": _footprint,
        "formats": _formats,
        "threads": _threads,
        "operations": _operations,
        "throughput": _throughput,
        "vision": _vision,
    }
    try:
        return commands[options.command](options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def _report(options: argparse.Namespace) -> int:
    from benchmarks.reporting.report import check_report, write_report

    if not options.check:
        print(write_report(options.folder, options.convention))
        return 0
    found = check_report(options.folder)
    print("\n".join(found) or "the report matches its records")
    return 1 if found else 0


def _compare(options: argparse.Namespace) -> int:
    from benchmarks.reporting.compare import compare_runs, compare_table

    differences = compare_runs(options.a, options.b)
    print(compare_table(differences, options.tolerance))
    return 1 if any(one.exceeds(options.tolerance) for one in differences) else 0


def _each(options: argparse.Namespace) -> int:
    from benchmarks.studies.each_target import targets_of_run

    print(targets_of_run(options.folder, options.root))
    return 0


def _gallery(options: argparse.Namespace) -> int:
    from benchmarks.reporting.gallery import write_gallery

    write_gallery(options.folder, options.root, options.method, options.each, options.out)
    return 0


def _figures(options: argparse.Namespace) -> int:
    from benchmarks.studies.figures import write_figures

    run = options.run or options.model
    return write_figures(options.model, run, options.art, options.photos, options.out, options.scenes, options.device)


def _train(options: argparse.Namespace) -> int:
    from benchmarks.training.recipe import TrainingPlan
    from benchmarks.training.train import Means, train
    from stamp.checkpoints.devices import choose_device
    from stamp.checkpoints.sources import check_files
    from stamp.training.learning.processes import TrainingProcesses
    from stamp.training.scenes.training_pictures import training_pictures

    sweep_steps = max(1, options.steps // 20) if options.sweep_steps is None else options.sweep_steps
    plan = TrainingPlan(
        tuple(options.methods),
        options.backbone or options.onward,
        options.steps,
        sweep_steps,
        tuple(options.rates),
        options.grid,
        compile=options.compile,
        onward=options.onward,
    )
    for name in plan.methods:
        check_files(plan.start_of(name))
    art, photographs = training_pictures(options.art, options.photos)
    means = Means(art, photographs, choose_device(options.device), options.workers, TrainingProcesses.join())
    for number in (signal.SIGINT, signal.SIGTERM):  # save and stop, even when the shell started it in the background
        signal.signal(number, signal.default_int_handler)
    try:
        for text in train(plan, means, options.out).values():
            print(text)
    except KeyboardInterrupt:
        print(f"stopped; run the same command again to resume {options.out}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _speed(options: argparse.Namespace) -> int:
    from benchmarks.studies.speed import SpeedConfig, run_speed, speed_table

    config = SpeedConfig(options.masks, options.repeats, options.warmups, options.side_px, options.clock)
    print(speed_table(run_speed(read_model_options(options), options.out, config)))
    return 0


def _scale(options: argparse.Namespace) -> int:
    from benchmarks.studies.scale import ScaleConfig, run_scale, scale_table

    config = ScaleConfig(**{one.name: getattr(options, one.name) for one in fields(ScaleConfig)})
    print(scale_table(run_scale(read_model_options(options), options.out, config)))
    return 0


def _targets(options: argparse.Namespace) -> int:
    from benchmarks.studies.targets import TargetsConfig, run_targets, targets_table

    config = TargetsConfig(tuple(options.targets), options.repeats, options.warmups, options.side_px, options.clock)
    print(targets_table(run_targets(read_model_options(options), options.out, config)))
    return 0


def _footprint(options: argparse.Namespace) -> int:
    from benchmarks.studies.footprint import append_footprint, footprint_table, measure_footprint, read_footprints

    load = read_model_options(options)
    append_footprint(measure_footprint(load, options.side_px, options.clock), options.out)
    print(footprint_table(read_footprints(options.out)))
    return 0


def _formats(options: argparse.Namespace) -> int:
    import torch

    from benchmarks.datasets import open_dataset
    from benchmarks.datasets.sample import MaskSample
    from benchmarks.running.runner import choose_samples
    from benchmarks.studies.formats import study_formats, write_formats
    from stamp.checkpoints.provenance import provenance_of
    from stamp.model.processing_stamp import StampProcessor

    dataset = open_dataset("scenes", ("all",), None)
    by_name = [one for one in dataset.samples if isinstance(one, MaskSample) and one.kind == "segment"]
    samples = [one for one in choose_samples(by_name, options.limit, 0) if isinstance(one, MaskSample)]
    rows = list(study_formats(samples, StampProcessor.from_pretrained(options.model)))
    about = {"dataset": "scenes", "limit": options.limit, "seed": 0, "model": options.model.name}
    print(write_formats(rows, about | provenance_of(torch.device("cpu")), options.out))
    return 0


def _threads(options: argparse.Namespace) -> int:
    from benchmarks.studies.threads import ThreadsConfig, run_threads, threads_table

    numbers = options.threads or sorted({1, psutil.cpu_count(logical=False) or 1})
    sizes = {name: getattr(options, name) for name in ("busy", "repeats", "warmups", "side_px")}
    print(threads_table(run_threads(read_model_options(options), ThreadsConfig(tuple(numbers), **sizes), options.out)))
    return 0


def _operations(options: argparse.Namespace) -> int:
    from benchmarks.studies.operations import OperationsConfig, operations_page, run_operations

    config = OperationsConfig(**{one.name: getattr(options, one.name) for one in fields(OperationsConfig)})
    print(operations_page(run_operations(config, options.out, options.page)))
    return 0


def _throughput(options: argparse.Namespace) -> int:
    from benchmarks.checkpoints import read_method_options
    from benchmarks.studies.throughput import ThroughputConfig, run_throughput, throughput_table

    config = ThroughputConfig(tuple(options.methods), options.limit, options.seed, options.rounds)
    print(throughput_table(run_throughput(config, read_method_options(options), options.out, options.root)))
    return 0


def _vision(options: argparse.Namespace) -> int:
    from benchmarks.studies.speed import SpeedConfig
    from benchmarks.studies.vision import run_vision, vision_table

    config = SpeedConfig(repeats=options.repeats, side_px=options.side_px, clock=options.clock)
    print(vision_table(run_vision(read_model_options(options), options.out, config)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

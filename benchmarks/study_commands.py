"""The commands that measure one thing, as speed or memory: their options, and what each runs."""

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil

from benchmarks.checkpoints import ASSETS
from benchmarks.studies.operations import add_operations_options
from benchmarks.studies.throughput import add_throughput_options
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT
from stamp.options import add_model_options, read_model_options


def add_studies(commands: Any) -> None:
    """Add a parser for each study to the commands of a parser."""
    speed = commands.add_parser("speed", help="seconds per phase: ours against the algorithm as released")
    speed.add_argument("--out", type=Path, required=True, help="folder for speed.jsonl and speed.json")
    speed.add_argument("--masks", type=int, default=8, help="number of masks in the many-mask answer")
    speed.add_argument("--repeats", type=int, default=3, help="measured runs per method")
    speed.add_argument("--warmups", type=int, default=1, help="warm-up runs per method")
    gpu = commands.add_parser("gpu", help="parity, speed and distance to the limits of a GPU, in one command")
    gpu.add_argument("--out", type=Path, required=True, help="folder for gpu.json, speed.jsonl and speed.json")
    gpu.add_argument("--fixtures", type=Path, default=Path("tests/parity"), help="folder of the known answers")
    gpu.add_argument("--masks", type=int, default=8, help="number of masks in the many-mask answer")
    gpu.add_argument("--repeats", type=int, default=5, help="measured runs per method")
    gpu.add_argument("--warmups", type=int, default=2, help="warm-up runs per method")
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
    formats = commands.add_parser("formats", help="upper bound of each mask format; runs no model")
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
        commands.add_parser("throughput", help="answers per second with 1 and with 8 requests in flight")
    )
    vision = commands.add_parser("vision", help="seconds per phase: the vision tower in int8 and in full precision")
    vision.add_argument("--out", type=Path, required=True, help="folder for vision.jsonl and vision.json")
    vision.add_argument("--repeats", type=int, default=2, help="measured answers per tower, picture and load")
    heart = commands.add_parser("by-heart", help="train on a few pictures again and again, and ask the same requests")
    heart.add_argument("--out", type=Path, required=True, help="folder for by-heart.jsonl, by-heart.json and weights")
    heart.add_argument("--methods", nargs="+", default=["stamp", "polygon", "patch_text", "embedding"])
    heart.add_argument(
        "--from", dest="backbone", type=Path, required=True, help="checkpoint folder that all start from"
    )
    heart.add_argument("--trained", type=Path, default=ASSETS, help="folder of compared checkpoints, for their rates")
    heart.add_argument("--pictures", type=int, default=32, help="how many, a multiple of 8")
    heart.add_argument("--steps", type=int, default=400, help="steps of 8 pictures")
    heart.add_argument("--art", type=Path, default=Path("art"), help="folder of the installed artwork")
    heart.add_argument("--device", default="auto")
    batching = commands.add_parser("batching", help="what one pass for several conversations would gain on a CPU")
    batching.add_argument("--out", type=Path, required=True, help="folder for batching.jsonl and batching.json")
    batching.add_argument("--conversations", type=int, nargs="+", default=[2, 4, 8], help="sizes of the batch")
    batching.add_argument("--repeats", type=int, default=9, help="measured rounds")
    batching.add_argument("--warmups", type=int, default=2, help="warm-up rounds")
    batching.add_argument("--side-px", type=int, default=448, help="side of the square picture")
    batching.add_argument(
        "--answers", type=int, default=30, help="requests for a mask, to count a usual answer's passes"
    )
    add_model_options(batching)
    for command in (speed, gpu, scale, targets, footprint, vision):
        command.add_argument("--side-px", type=int, default=896, help="side of the square picture")
        command.add_argument(
            "--clock", choices=("wall", "cpu"), default="wall", help="cpu: on a CPU shared with others"
        )
        add_model_options(command)


def _speed(options: argparse.Namespace) -> int:
    from benchmarks.studies.speed import SpeedConfig, run_speed, speed_table

    config = SpeedConfig(options.masks, options.repeats, options.warmups, options.side_px, options.clock)
    print(speed_table(run_speed(read_model_options(options), options.out, config)))
    return 0


def _gpu(options: argparse.Namespace) -> int:
    from benchmarks.studies.gpu import gpu_table, run_gpu
    from benchmarks.studies.speed import SpeedConfig, speed_table

    config = SpeedConfig(options.masks, options.repeats, options.warmups, options.side_px, options.clock)
    record = run_gpu(read_model_options(options), options.fixtures, options.out, config)
    print(speed_table(record), gpu_table(record), sep="\n\n")
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
    by_name = choose_samples(dataset.samples, options.limit, 0, ("segment",))
    samples = [one for one in by_name if isinstance(one, MaskSample)]
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


def _batching(options: argparse.Namespace) -> int:
    from benchmarks.studies.batching import BatchingConfig, batching_table, run_batching

    sizes = tuple(options.conversations)
    config = BatchingConfig(sizes, options.repeats, options.warmups, options.side_px, options.answers)
    print(batching_table(run_batching(read_model_options(options), options.out, config)))
    return 0


def _by_heart(options: argparse.Namespace) -> int:
    from benchmarks.studies.by_heart import ByHeartConfig, by_heart_table, run_by_heart
    from benchmarks.training.train import Means
    from stamp.checkpoints.devices import choose_device
    from stamp.checkpoints.sources import check_files
    from stamp.training.scenes.training_pictures import training_pictures

    check_files(options.backbone)
    sizes = {name: getattr(options, name) for name in ("pictures", "steps")}
    config = ByHeartConfig(tuple(options.methods), options.backbone, options.trained, **sizes)
    art, _ = training_pictures(options.art, None)
    print(by_heart_table(run_by_heart(config, Means(art, None, choose_device(options.device)), options.out)))
    return 0


STUDIES: dict[str, Callable[[argparse.Namespace], int]] = {
    "speed": _speed,
    "gpu": _gpu,
    "scale": _scale,
    "targets": _targets,
    "footprint": _footprint,
    "formats": _formats,
    "threads": _threads,
    "operations": _operations,
    "throughput": _throughput,
    "vision": _vision,
    "batching": _batching,
    "by-heart": _by_heart,
}

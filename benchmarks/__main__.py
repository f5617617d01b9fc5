"""Command line: `python -m benchmarks speed --model PATH --out DIR`, `footprint --model PATH --out FILE`."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stamp.options import add_model_options, load_predictor


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure STAMP.")
    commands = parser.add_subparsers(dest="command", required=True)
    speed = commands.add_parser("speed", help="seconds by phase: ours against the algorithm as released")
    speed.add_argument("--out", type=Path, required=True, help="folder for speed.jsonl and speed.json")
    speed.add_argument("--masks", type=int, default=8, help="masks in the answer with many masks")
    speed.add_argument("--repeats", type=int, default=3, help="measured runs of each method")
    speed.add_argument("--warmups", type=int, default=1, help="runs of each method before the measured ones")
    footprint = commands.add_parser("footprint", help="load one checkpoint, answer once: seconds and memory")
    footprint.add_argument("--out", type=Path, required=True, help="JSON-lines file to which a row is added")
    for command in (speed, footprint):
        command.add_argument("--side-px", type=int, default=896, help="side of the square picture")
        command.add_argument(
            "--clock", choices=("wall", "cpu"), default="wall", help="cpu: on a CPU shared with others"
        )
        add_model_options(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. Bad input is one sentence on stderr and status 2."""
    options = build_parser().parse_args(arguments)
    try:
        print({"speed": _speed, "footprint": _footprint}[options.command](options))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _speed(options: argparse.Namespace) -> str:
    from benchmarks.speed import SpeedConfig, run_speed

    config = SpeedConfig(options.masks, options.repeats, options.warmups, options.side_px, options.clock)
    return speed_table(run_speed(load_predictor(options), options.model, options.out, config))


def _footprint(options: argparse.Namespace) -> str:
    from benchmarks.footprint import append_footprint, footprint_table, measure_footprint, read_footprints

    load = partial(load_predictor, options)
    append_footprint(measure_footprint(load, options.model, options.side_px, options.clock), options.out)
    return footprint_table(read_footprints(options.out))


def speed_table(record: dict[str, Any]) -> str:
    """Median seconds by case, method and phase; one line each."""
    clock = record["provenance"]["config"]["clock"]
    phases = ("vision", "prefill", "decode", "mask", "refine", "total")
    lines = [f"{f'median {clock} seconds':24}" + "".join(f"{phase:>9}" for phase in phases)]
    for name, case in record["cases"].items():
        for method, seconds in case["median_s"].items():
            lines.append(f"{f'{name}, {method}':24}" + "".join(f"{seconds[phase]:9.3f}" for phase in phases))
        ratios = ", ".join(f"{method} {ratio:.2f}" for method, ratio in case["compared_ratio"].items())
        lines.append(f"  {case['compared']}, times {next(iter(case['median_s']))}: {ratios}")
    lines.append(f"follow-up question over first question: {record['follow_up_over_first']:.2f}")
    where = record["provenance"]
    return "\n".join([*lines, f"n = {where['n']}, P = {where['mask_tokens']}, {where['dtype']}, {where['hardware']}"])


if __name__ == "__main__":
    sys.exit(main())

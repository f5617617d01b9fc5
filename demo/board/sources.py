"""Where the benchmark tab takes its data from: folders named when the server is started, never by a visitor."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demo.board.results import RESULTS
from demo.gpu import is_lent

#: Values of STAMP_LIVE that turn the live features off.
OFF = ("off", "0", "false", "no")


@dataclass(frozen=True)
class Sources:
    """results: folder of run folders. data: folder of each dataset, for pictures and live runs; the scenes come with
    the project. is_live: visitors may run methods."""

    results: Path = RESULTS
    data: Mapping[str, Path] = field(default_factory=dict)
    is_live: bool = True


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add --results and --data; STAMP_RESULTS and STAMP_DATA give their defaults."""
    parser.add_argument(
        "--results",
        type=Path,
        default=Path(os.environ.get("STAMP_RESULTS") or RESULTS),
        help="folder of benchmark runs to show (default: those of the project)",
    )
    parser.add_argument(
        "--data",
        nargs="*",
        metavar="NAME=FOLDER",
        default=os.environ.get("STAMP_DATA", "").split(),
        help="folders of datasets, for the pictures of the benchmark's samples; the scenes come with the project",
    )


def read_sources(given: argparse.Namespace) -> Sources:
    """What the options name; STAMP_LIVE=off turns live runs off, and so does a GPU that is lent.

    Raises ValueError for a `--data` without "=".
    """
    if wrong := [pair for pair in given.data if "=" not in pair]:
        raise ValueError(f"--data takes NAME=FOLDER, for example refcoco=/data/refer; got {wrong[0]!r}.")
    data = {name: Path(folder) for name, _, folder in (pair.partition("=") for pair in given.data)}
    is_live = os.environ.get("STAMP_LIVE", "").strip().lower() not in OFF and not is_lent()
    return Sources(given.results, data, is_live)

"""The folders from which the benchmark tab reads data: named when the server starts, never by a visitor."""

import argparse
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demo.board.results import RESULTS
from demo.gpu import is_lent
from demo.security.limits import OFF


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
        default=os.environ.get("STAMP_DATA", ""),
        help="folders of datasets, for the pictures of the benchmark's samples; the scenes come with the project. "
        'STAMP_DATA takes the same list; quote a folder whose name contains a space: refcoco="/my data/refer"',
    )


def split_words(text: str) -> list[str]:
    """The words of STAMP_DATA. Blanks inside quotes do not separate words; a backslash belongs to the folder's name.

    Raises ValueError for a quote that does not end.
    """
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    try:
        return list(lexer)
    except ValueError as error:
        raise ValueError(f"A quote in STAMP_DATA does not end: {text}") from error


def read_sources(given: argparse.Namespace) -> Sources:
    """What the options name; STAMP_LIVE=off turns live runs off, and so does a GPU that is lent.

    Raises ValueError for a `--data` without "=", and for a STAMP_DATA with a quote that does not end.
    """
    pairs = split_words(given.data) if isinstance(given.data, str) else given.data
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise ValueError(f"--data takes NAME=FOLDER, for example refcoco=/data/refer; got {wrong[0]!r}.")
    data = {name: Path(folder) for name, _, folder in (pair.partition("=") for pair in pairs)}
    is_live = os.environ.get("STAMP_LIVE", "").strip().lower() not in OFF and not is_lent()
    return Sources(given.results, data, is_live)

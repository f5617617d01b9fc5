"""Datasets by name: the project's own scenes, and public ones from a folder the user has downloaded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.datasets.photographs import HELD_OUT, read_held_out
from benchmarks.datasets.reasonseg import read_reasonseg
from benchmarks.datasets.refer import ReferSource, read_refer
from benchmarks.datasets.sample import Dataset, DatasetError
from benchmarks.datasets.scenes import read_scenes

SCENES_ROOT = Path(__file__).resolve().parent.parent.parent / "assets" / "scenes-val"
#: "all" means every split but this one: a benchmark measures on data that was not trained on.
TRAINING_SPLIT = "train"


@dataclass(frozen=True)
class Reader:
    """How a dataset is read: its splits, and a function (name, root, splits) -> Dataset."""

    splits: tuple[str, ...]
    read: Callable[[str, Path, Sequence[str]], Dataset]


def _refer(folder: str, *references: str) -> Callable[[str, Path, Sequence[str]], Dataset]:
    return partial(read_refer, ReferSource(folder, references))


_UNC = ("val", "testA", "testB", TRAINING_SPLIT)
_USUAL = ("val", "test", TRAINING_SPLIT)
READERS = {
    "scenes": Reader(("known", "style", "background"), read_scenes),
    "cutouts": Reader(("cutouts",), read_scenes),
    "photos": Reader((HELD_OUT,), read_held_out),
    "refcoco": Reader(_UNC, _refer("refcoco", "refs(unc).p")),
    "refcoco-google": Reader(_USUAL, _refer("refcoco", "refs(google).p")),
    "refcoco+": Reader(_UNC, _refer("refcoco+", "refs(unc).p")),
    "refcocog": Reader(_USUAL, _refer("refcocog", "refs(umd).p")),
    "refcocog-google": Reader(("val", TRAINING_SPLIT), _refer("refcocog", "refs(google).p")),
    "grefcoco": Reader(_UNC, _refer("grefcoco", "grefs(unc).json", "grefs(unc).p")),
    "reasonseg": Reader(_USUAL, read_reasonseg),
}


def open_dataset(name: str, splits: Sequence[str], root: Path | None = None) -> Dataset:
    """Read a dataset. splits: names, or "all". root: the folder; None is the project's own scenes, for "scenes" only.

    Raises DatasetError: unknown dataset or split, files missing or damaged, two samples with the same id.
    """
    if name not in READERS:
        raise DatasetError(f"There is no dataset {name!r}; choose one of {', '.join(READERS)}.")
    if root is None and name != "scenes":
        raise DatasetError(f"Name the folder that holds {name} with --root.")
    reader = READERS[name]
    chosen = tuple(dict.fromkeys(splits))
    if chosen == ("all",):
        chosen = tuple(split for split in reader.splits if split != TRAINING_SPLIT)
    if unknown := [split for split in chosen if split not in reader.splits]:
        raise DatasetError(f"{name} has no split {unknown[0]!r}; choose from {', '.join(reader.splits)}, or all.")
    folder = SCENES_ROOT if root is None else root
    try:
        dataset = reader.read(name, folder, chosen)
    except DatasetError:
        raise
    except Exception as error:  # a malformed file can make a reader raise almost anything
        raise DatasetError(f"{name} in {folder} cannot be read ({type(error).__name__}: {error}).") from error
    if len({(sample.split, sample.id) for sample in dataset.samples}) != len(dataset.samples):
        raise DatasetError(f"Two samples of {name} have the same id; the annotation file is damaged.")
    return dataset

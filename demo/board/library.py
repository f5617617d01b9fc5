"""The pictures and annotations behind the results, if this server has them."""

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import Dataset, DatasetError, Sample
from benchmarks.fingerprint import sha256_of
from demo.board.results import Run

log = logging.getLogger(__name__)

NO_DATA = "The pictures of {0} are not available on this server. Its operator can add them with --data {0}=FOLDER."
OTHER_DATA = "The pictures of {} on this server are not the ones that this run used."


class Library:
    """Datasets by name, opened when first asked for. folders: of each; the scenes come with the project."""

    def __init__(self, folders: Mapping[str, Path]):
        self._folders = dict(folders)
        self._lock = threading.Lock()
        self._open: dict[tuple[str, ...], Dataset | None] = {}
        self._hashes: dict[tuple[str, ...], str] = {}

    def dataset(self, name: str, splits: Sequence[str] = ("all",)) -> Dataset | None:
        """The dataset; None if it cannot be read here (the log says why)."""
        key = (name, *splits)
        with self._lock:
            if key not in self._open:
                try:
                    self._open[key] = open_dataset(name, splits, self._folders.get(name))
                except DatasetError:
                    log.warning("the dataset %s cannot be opened", name, exc_info=True)
                    self._open[key] = None
            return self._open[key]

    def of_run(self, run: Run) -> tuple[Dataset | None, str]:
        """(the exact data that a run was measured on, or None; the reason if None)."""
        about = run.about
        name = run.records[0].dataset
        if about is None or (found := self.dataset(name, about["config"]["splits"])) is None:
            return None, NO_DATA.format(name)
        key = (name, *about["config"]["splits"])
        if key not in self._hashes:
            self._hashes[key] = sha256_of(found.files)
        return (found, "") if self._hashes[key] == about["dataset"]["sha256"] else (None, OTHER_DATA.format(name))

    def sample(self, run: Run, split: str, sample_id: str) -> tuple[Sample | None, str]:
        """(one sample of a run, or None; the reason if None)."""
        found, why = self.of_run(run)
        if found is None:
            return None, why
        match = (one for one in found.samples if (one.split, one.id) == (split, sample_id))
        return next(match, None), "This server's data does not have this sample."

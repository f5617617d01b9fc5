"""Loads the batches of one process, made by workers with one thread each."""

import os
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from stamp.training.learning.processes import TrainingProcesses

T = TypeVar("T")


def loader_of(dataset: Dataset[T], first: int, processes: TrainingProcesses, workers: int) -> DataLoader[T]:
    """The batches of this process from step `first` on. dataset: those of all processes, in turns."""
    rest = Subset(dataset, range(first * processes.size + processes.rank, len(dataset), processes.size))  # type: ignore[arg-type]
    extra: dict[str, Any] = {"prefetch_factor": 4, "worker_init_fn": _start_worker} if workers else {}
    return DataLoader(rest, batch_size=None, num_workers=workers, **extra)


def _start_worker(_: int) -> None:
    """One thread, and a session of its own: a Ctrl-C that asks the training to stop must not end its workers first."""
    torch.set_num_threads(1)
    if hasattr(os, "setsid"):  # not on Windows
        os.setsid()

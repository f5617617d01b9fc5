"""Loads the batches of one process, made by workers with one thread each."""

from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from stamp.training.learning.processes import TrainingProcesses

T = TypeVar("T")


def loader_of(dataset: Dataset[T], first: int, processes: TrainingProcesses, workers: int) -> DataLoader[T]:
    """The batches of this process from step `first` on. dataset: those of all processes, in turns."""
    rest = Subset(dataset, range(first * processes.size + processes.rank, len(dataset), processes.size))  # type: ignore[arg-type]
    extra: dict[str, Any] = {"prefetch_factor": 4, "worker_init_fn": _one_thread} if workers else {}
    return DataLoader(rest, batch_size=None, num_workers=workers, **extra)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)

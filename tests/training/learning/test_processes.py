"""Two processes on one model."""

import os
from pathlib import Path

import torch
from torch import nn
from torch.multiprocessing.spawn import spawn

from stamp.training.learning.processes import TrainingProcesses


def _average(rank: int, folder: str) -> None:
    os.environ["WORLD_SIZE"] = "2"
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    processes = TrainingProcesses.join()
    assert (processes.rank, processes.size) == (rank, 2)
    weight, bias, frozen = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    weight.grad = torch.arange(6.0).view(2, 3) * (rank + 1)
    bias.grad = torch.full((2,), float(rank))
    processes.average_gradients([weight, frozen, bias])
    assert frozen.grad is None
    torch.save([weight.grad, bias.grad], Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_both_get_the_mean_of_their_gradients(tmp_path: Path) -> None:
    spawn(_average, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert torch.equal(first[0], torch.arange(6.0).view(2, 3) * 1.5)
    assert torch.equal(first[1], torch.full((2,), 0.5))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_alone_nothing_changes() -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([1.0, 2.0])
    processes = TrainingProcesses.join()
    processes.average_gradients([weight])
    assert processes == TrainingProcesses(0, 1)
    assert weight.grad.tolist() == [1.0, 2.0]

"""Several processes on one model: their devices, the mean of their gradients, and how they stop."""

import os
import threading
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.multiprocessing.spawn import spawn

from stamp.training.learning.processes import CPU, TrainingProcesses, own_device


def _join(rank: int, folder: str) -> TrainingProcesses:
    os.environ["WORLD_SIZE"] = "2"
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    return TrainingProcesses.join(CPU, threading.Event())


def _average(rank: int, folder: str) -> None:
    processes = _join(rank, folder)
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


def _stop(rank: int, folder: str) -> None:
    """The second is asked in its third step. None ends before all have saved."""
    processes = _join(rank, folder)
    path = Path(folder) / f"{rank}.txt"

    def save() -> None:
        path.write_text(f"saved after {step} steps")

    for step in range(1, 5):
        if (rank, step) == (1, 3):
            processes.stop.set()
        try:
            processes.stop_if_asked(save)
        except KeyboardInterrupt:
            assert all((Path(folder) / f"{each}.txt").exists() for each in (0, 1))
            break
    torch.distributed.destroy_process_group()


def test_if_one_is_asked_to_stop_all_stop_after_the_same_step_once_all_have_saved(tmp_path: Path) -> None:
    spawn(_stop, (str(tmp_path),), nprocs=2)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == ["saved after 3 steps"] * 2


def test_alone_nothing_changes() -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([1.0, 2.0])
    processes = TrainingProcesses.join(CPU, threading.Event())
    processes.average_gradients([weight])
    assert processes == TrainingProcesses(0, 1)
    assert weight.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("asked", "local_rank", "n_gpus", "own"),
    [("cuda", 0, 2, "cuda:0"), ("cuda", 1, 2, "cuda:1"), ("cpu", 1, 2, "cpu"), ("cpu", 1, 0, "cpu")],
)
def test_each_process_has_a_gpu_of_its_own(asked: str, local_rank: int, n_gpus: int, own: str) -> None:
    assert own_device(torch.device(asked), local_rank, n_gpus) == torch.device(own)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("cuda", "each process needs a GPU, but torch sees 2: start no more processes, or use --device cpu"),
        ("cuda:1", "several processes train on cpu or on cuda, with a GPU each, not on cuda:1"),
        ("mps", "several processes train on cpu or on cuda, with a GPU each, not on mps"),
    ],
)
def test_processes_that_would_share_a_gpu_are_refused(asked: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        own_device(torch.device(asked), 2, 2)

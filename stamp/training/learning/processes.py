"""Several processes train one model: each takes its own batches, and gradients are averaged before every step."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import distributed, nn

CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainingProcesses:
    """The processes that train one model: this one is number `rank` of `size`. With size 1 it works alone.

    device: where this process computes. stop: set when this process is asked to stop (`stop_on_signals`).
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU
    stop: threading.Event = field(default_factory=threading.Event, compare=False)

    @staticmethod
    def join(device: torch.device, stop: threading.Event) -> "TrainingProcesses":
        """The processes started by `torchrun` or `accelerate launch`, or this one alone. Raises as `own_device` does.

        device: as on the command line.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return TrainingProcesses(device=device, stop=stop)
        device = own_device(device, int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count())
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return TrainingProcesses(distributed.get_rank(), distributed.get_world_size(), device, stop)

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            distributed.barrier()

    def stop_if_asked(self, save: Callable[[], None]) -> None:
        """Between two steps: if any process is asked to stop, all save and raise KeyboardInterrupt."""
        asked = self.stop.is_set()
        if self.size > 1:
            any_asked = torch.tensor(int(asked), device=self.device)
            distributed.all_reduce(any_asked, distributed.ReduceOp.MAX)
            asked = bool(any_asked)
        if asked:
            save()
            self.wait()  # the first to end makes the launcher end the others
            raise KeyboardInterrupt

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give every process the mean of all processes' gradients, in one exchange for all parameters."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def own_device(asked: torch.device, local_rank: int, n_gpus: int) -> torch.device:
    """The device of one of several processes on a machine: the CPU, which they share, or a GPU of its own.

    Raises ValueError: more processes than GPUs, or a single GPU was named.
    """
    if asked.type == "cpu":
        return asked
    if asked != torch.device("cuda"):
        raise ValueError(f"several processes train on cpu or on cuda, with a GPU each, not on {asked}")
    if local_rank >= n_gpus:
        raise ValueError(
            f"each process needs a GPU, but torch sees {n_gpus}: start no more processes, or use --device cpu"
        )
    return torch.device("cuda", local_rank)

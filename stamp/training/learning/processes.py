"""Several processes train one model: each takes its own batches, and gradients are averaged before every step."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import distributed, nn


@dataclass(frozen=True)
class TrainingProcesses:
    """The processes that train one model: this one is number `rank` of `size`. With size 1 it works alone."""

    rank: int = 0
    size: int = 1

    @staticmethod
    def join() -> "TrainingProcesses":
        """The processes started by `torchrun` or `accelerate launch`, or this one alone."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return TrainingProcesses()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return TrainingProcesses(distributed.get_rank(), distributed.get_world_size())

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            distributed.barrier()

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

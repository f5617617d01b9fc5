"""One process among several: `accelerate launch` starts them, and each takes its share of the samples."""

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

#: How long the first process waits for the last. The default of half an hour would end a long, uneven run.
PATIENCE = datetime.timedelta(days=7)

T = TypeVar("T")


@dataclass(frozen=True)
class Process:
    """rank: 0 .. world - 1, over all machines. device: the name of the device this process uses."""

    rank: int
    world: int
    device: str

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Every `world`-th item, from `rank` on."""
        return items[self.rank :: self.world]

    def wait_for_all(self) -> None:
        """Wait until every process has reached this point."""
        if self.world > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()


def this_process(device: str) -> Process:
    """This process as the launcher describes it; a single process without a launcher.

    device: as on the command line. With several processes, "auto" and "cuda" mean one GPU each.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Process(0, 1, device)
    from accelerate import PartialState

    on_cpu = device == "cpu" or not torch.cuda.is_available()
    state = PartialState(cpu=on_cpu, timeout=PATIENCE)
    if device in ("auto", "cuda"):
        device = "cpu" if on_cpu else f"cuda:{state.local_process_index}"
    return Process(state.process_index, state.num_processes, device)

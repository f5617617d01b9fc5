"""Readings from the machine: when an accelerator is done, and how much memory is and was in use."""

import sys
from pathlib import Path

import psutil
import torch


def wait_for(device: torch.device) -> None:
    """Wait until an accelerator has finished its work; returns at once on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def resident_bytes(device: torch.device) -> int:
    """Memory in use now."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(psutil.Process().memory_info().rss)


def peak_bytes(device: torch.device) -> int:
    """This process's peak memory.

    On Linux it is read from /proc, because `getrusage` inherits the peak of the parent process. Windows has no
    `getrusage` and counts the peak itself.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    if counted := [line.split() for line in lines if line.startswith("VmHWM:")]:
        return int(counted[0][1]) * 1024
    if (peak := getattr(psutil.Process().memory_info(), "peak_wset", None)) is not None:
        return int(peak)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

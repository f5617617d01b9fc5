"""What is read off the machine: when an accelerator is done, and how much memory is and was in use."""

import resource
import sys
from pathlib import Path

import psutil
import torch


def wait_for(device: torch.device) -> None:
    """Return when an accelerator has done all that it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def resident_bytes(device: torch.device) -> int:
    """Memory in use now."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(psutil.Process().memory_info().rss)


def peak_bytes(device: torch.device) -> int:
    """The most memory that was in use at any time of this process.

    Linux counts it in /proc; `getrusage` there hands down the peak of the process that started this one.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    if counted := [line.split() for line in lines if line.startswith("VmHWM:")]:
        return int(counted[0][1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

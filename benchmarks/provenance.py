"""Where a figure comes from: machine, commit, date, versions."""

import datetime
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from stamp.predictor import StampPredictor

_ROOT = Path(__file__).resolve().parent.parent


def provenance(predictor: StampPredictor, model: str | Path | None) -> dict[str, Any]:
    """What every result file records. model: as given; only its last part is kept. Unknown is None."""
    return {
        "model": "stamp-nano" if model is None else Path(model).name,
        "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "hardware": hardware_name(predictor.device),
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": git("rev-parse", "--short", "HEAD"),
        "uncommitted_changes": None if (status := git("status", "--porcelain")) is None else bool(status),
        "python": platform.python_version(),
        **predictor.versions(),
    }


def hardware_name(device: torch.device) -> str:
    """The processor that computes: the GPU's name, or the CPU's with its cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} CPU cores ({names[0] if names else platform.processor() or 'unknown'})"


def git(*arguments: str) -> str | None:
    """What git prints about this checkout; None outside a repository or without git."""
    try:
        command = ["git", "-C", str(_ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

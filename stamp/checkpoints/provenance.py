"""Where a figure comes from: machine, commit, date, versions."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any, Protocol

import torch

_ROOT = Path(__file__).resolve().parents[2]


class Measured(Protocol):
    """A model to be measured, such as a StampPredictor."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def versions(self) -> dict[str, str]:
        """Package versions, device, dtype, quantization."""


def package_versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    return {name: importlib.metadata.version(name) for name in ("torch", "transformers", "Pillow", "numpy")}


def provenance(predictor: Measured) -> dict[str, Any]:
    """The facts that every measurement of a predictor records. Unknown is None."""
    return {**provenance_of(predictor.device), **predictor.versions()}


def provenance_of(device: torch.device) -> dict[str, Any]:
    """The machine, date and commit of a measurement."""
    return {
        "hardware": hardware_name(device),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": git("rev-parse", "--short", "HEAD"),
    }


def hardware_name(device: torch.device) -> str:
    """The processor in use: the GPU's name, or the CPU's name and number of cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} CPU cores ({names[0] if names else platform.processor() or 'unknown'})"


def git(*arguments: str) -> str | None:
    """Git's output about this checkout; None outside a repository or without git."""
    try:
        command = ["git", "-C", str(_ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

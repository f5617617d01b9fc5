"""The two ends of a measurement."""

import torch


def wait_for(device: torch.device) -> None:
    """Return when an accelerator has done all that it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""Where a model computes."""

import torch

from stamp.errors import CheckpointError


def choose_device(device: str) -> torch.device:
    """The device named, or for "auto" CUDA where there is one. Raises CheckpointError for one that is not here."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
        known = place.type in ("cpu", "cuda", "mps")
    except RuntimeError:
        known = False
    if not known:
        raise CheckpointError(f"Unknown device {device!r}; choose auto, cpu, cuda, or cuda:1 and so on.")
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise CheckpointError("mps is not available here: it needs an Apple GPU. Use --device auto or cpu.")
    if place.type == "cuda" and (place.index or 0) >= (count := torch.cuda.device_count()):
        raise CheckpointError(
            f"{device} is not available here: torch sees {count} CUDA devices. Use --device auto or cpu."
        )
    return place

"""The checkpoints of the comparison: one backbone, and what equal trainings made of it.

They lie in `assets/` under these names once they are trained. The shipped nano was trained longer, on its own.
"""

from pathlib import Path

ASSETS = Path(__file__).resolve().parent.parent / "assets"
BACKBONE = "nano-backbone"
STAMP = "nano-stamp"
#: Trained from the backbone, each with the same examples, steps and choice of learning rates.
EQUAL_BUDGET = (STAMP, "nano-polygon", "nano-patch-text", "nano-embedding")


def has_checkpoint(name: str) -> bool:
    """Whether `assets/` holds a folder of this name."""
    return (ASSETS / name).is_dir()

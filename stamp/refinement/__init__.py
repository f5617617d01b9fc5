"""The ways to enlarge logits on the coarse patch grid to masks of the original size, by name."""

from pathlib import Path
from typing import TYPE_CHECKING

from stamp.refinement.guided import GuidedRefiner
from stamp.refinement.refiner import BicubicRefiner, Refiner

if TYPE_CHECKING:
    import torch

#: The refiner for "auto": the best on composed scenes (the nano's model card); not measured on photographs.
DEFAULT_REFINER = "grabcut"
REFINERS = {
    "none": "bicubic enlargement of the logits",
    "guided": "logits enlarged along the edges of the image (guided filter)",
    "grabcut": "cut out along the edges of the image, by the colours inside and around (GrabCut)",
    "sam": "three passes of Segment Anything, prompted by the coarse mask; needs its weights",
    "auto": f"the default, now {DEFAULT_REFINER!r}",
}


def check_refiner_name(name: str) -> str:
    """The name that "auto" stands for, or the name itself. Raises: ValueError for a name that is not in REFINERS."""
    if name not in REFINERS:
        raise ValueError(f"refine must be one of {', '.join(REFINERS)}, got {name!r}")
    return DEFAULT_REFINER if name == "auto" else name


def check_refiner(name: str, sam_model: str | Path | None) -> None:
    """Raises: ValueError for a name that is not in REFINERS, and for "sam" without weights or weights without it."""
    if check_refiner_name(name) == "sam" and not sam_model:
        raise ValueError(
            "The refinement sam needs weights: give --sam-model (sam_model in Python) the folder or hub id of a "
            "transformers SamModel, for example facebook/sam-vit-huge."
        )
    if sam_model and name != "sam":
        raise ValueError(f"--sam-model is for --refine sam, not for {name}: leave one of them out.")


def make_refiner(name: str, *, sam_model: str | Path | None = None, device: "str | torch.device" = "cpu") -> Refiner:
    """The refiner of that name. sam_model: folder or hub id of a transformers SamModel, read for "sam" only.

    Raises: ValueError for an unknown name, for "sam" without a model, and for weights that do not fit.
    """
    name = check_refiner_name(name)
    if name == "none":
        return BicubicRefiner()
    if name == "guided":
        return GuidedRefiner(device)
    if name == "grabcut":
        from stamp.refinement.grabcut import GrabCutRefiner

        return GrabCutRefiner()
    check_refiner(name, sam_model)
    from stamp.refinement.sam import SamRefiner

    assert sam_model is not None
    return SamRefiner.from_pretrained(sam_model, device)

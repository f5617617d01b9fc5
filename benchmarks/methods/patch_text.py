"""Patch labels as runs of location tokens; labels become pixels the way STAMP's logits do."""

from benchmarks.baselines.location_tokens import check_knows
from benchmarks.baselines.patch_tokens import PatchTokens
from benchmarks.checkpoints import MethodOptions, load_options_of
from benchmarks.methods.loading import load_measured
from benchmarks.methods.written import MAX_NEW_TOKENS, WrittenMaskMethod
from stamp.refinement import REFINERS, check_refiner_name

VARIANTS = tuple(name for name in REFINERS if name != "auto")


def load_patch_text(variant: str, options: MethodOptions) -> WrittenMaskMethod:
    """The baseline with --refine, or with the variant's refiner. Raises ValueError."""
    if variant and variant not in VARIANTS:
        raise ValueError(f"patch_text has no variant {variant!r}, only {', '.join(VARIANTS)}.")
    refine = check_refiner_name(variant or options.refine)
    predictor, about = load_measured(load_options_of("patch_text", options))
    refiner = predictor.refiner(refine)
    form = PatchTokens(refiner)
    check_knows(predictor.processor, form)
    budget = options.max_new_tokens or MAX_NEW_TOKENS
    return WrittenMaskMethod(predictor, form, variant, budget, about | {"refine": refine})

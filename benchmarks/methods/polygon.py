"""Polygons of location tokens; `polygon:published` is SimpleSeg itself."""

from benchmarks.baselines.location_tokens import check_knows
from benchmarks.baselines.polygon_tokens import PolygonTokens
from benchmarks.checkpoints import MethodOptions, load_options_of
from benchmarks.methods.loading import load_measured
from benchmarks.methods.method import Method
from benchmarks.methods.simpleseg import load_simpleseg
from benchmarks.methods.written import MAX_NEW_TOKENS, WrittenMaskMethod

PUBLISHED = "published"


def load_polygon(variant: str, options: MethodOptions) -> Method:
    """The baseline, or the published model. Raises ValueError."""
    if variant == PUBLISHED:
        return load_simpleseg(options)
    if variant:
        raise ValueError(f"polygon has no variant {variant!r}, only {PUBLISHED}.")
    predictor, about = load_measured(load_options_of("polygon", options))
    form = PolygonTokens()
    check_knows(predictor.processor, form)
    return WrittenMaskMethod(predictor, form, variant, options.max_new_tokens or MAX_NEW_TOKENS, about)

"""The backbone before any mask was trained: what it can say, to compare what is left of it after."""

import argparse

from PIL import Image

from benchmarks.checkpoints import ASSETS, BACKBONE, has_checkpoint
from benchmarks.methods.method import TalksOnly
from benchmarks.methods.stamp import StampMethod, changed, load_method
from stamp.conversation import Segmentation, Turn


class BackboneMethod(TalksOnly, StampMethod):
    """Words alone: its mask head holds random numbers, so a `<|seg|>` it may write gets no mask."""

    def answer(self, image: Image.Image, prompt: str) -> Segmentation:
        """The text."""
        answer = self.predictor._begin([Turn("user", prompt, image)])
        for _ in answer.tokens(self.max_new_tokens, temperature=0.0, seed=0):
            pass
        return answer.result(self.predictor.versions())


def load_backbone(variant: str, options: argparse.Namespace) -> BackboneMethod:
    """The folder that --backbone-model names, or the one in `assets/`. Raises ValueError when there is none."""
    if options.backbone_model is None and not has_checkpoint(BACKBONE):
        raise ValueError(f"There is no assets/{BACKBONE}; name the backbone's folder with --backbone-model.")
    model = options.backbone_model or str(ASSETS / BACKBONE)
    options = changed(options, model=model, base=None, revision=None)
    return load_method(BackboneMethod, "backbone", variant, options)

"""The backbone before any mask was trained: what it can say, to compare what is left of it after."""

import argparse

from PIL import Image

from benchmarks.checkpoints import BACKBONE, with_checkpoint
from benchmarks.methods.method import TalksOnly
from benchmarks.methods.stamp import StampMethod, load_method
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
    """The backbone that --backbone-model names, or the one in `assets/`. Raises ValueError when there is none."""
    return load_method(BackboneMethod, BACKBONE, variant, with_checkpoint(BACKBONE, options))

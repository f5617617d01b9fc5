"""The backbone before mask training: its dialogue scores show how much of that ability training keeps."""

from PIL import Image

from benchmarks.checkpoints import BACKBONE, MethodOptions, load_options_of
from benchmarks.methods.method import TalksOnly
from benchmarks.methods.stamp import StampMethod, load_method
from stamp.conversation import Segmentation, Turn


class BackboneMethod(TalksOnly, StampMethod):
    """Words only: its mask head has random weights, so a `<|seg|>` in its answer gets no mask."""

    def answer(self, image: Image.Image, prompt: str) -> Segmentation:
        """The text."""
        answer = self.predictor.begin([Turn("user", prompt, image)])
        for _ in answer.tokens(self.max_new_tokens):
            pass
        return answer.result(self.predictor.versions())


def load_backbone(variant: str, options: MethodOptions) -> BackboneMethod:
    """The backbone of --backbone-model, or the one in `assets/`. Raises ValueError if there is none."""
    return load_method(BackboneMethod, BACKBONE, variant, load_options_of(BACKBONE, options), options)

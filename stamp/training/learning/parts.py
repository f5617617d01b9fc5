"""The parts of a model that a stage trains at different rates."""

from typing import Any

from torch import nn

from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.vision_stem import StemmedVisionTower
from stamp.training.learning.config import Stage
from stamp.training.learning.objectives import NounFeatures
from stamp.training.learning.optimizer import Part

#: Learning rate of a pretrained stem against that of the tower behind it.
STEM_LR_RATIO = 0.15


def parts_of(model: StampForSegmentation, nouns: NounFeatures, stage: Stage) -> tuple[Part, ...]:
    """Vision tower, pretrained stem, text model and word embeddings, with their peak rates in a stage."""
    visual, language = model.model.visual, model.model.language_model
    in_vision = {id(p) for p in visual.parameters()}
    general: list[nn.Parameter] = []
    pretrained: list[nn.Parameter] = []
    if isinstance(visual, StemmedVisionTower):
        general, pretrained = visual.stem.pretrained_parameters()
    in_stem = {id(p) for p in (*general, *pretrained)}
    tower = [p for p in visual.parameters() if id(p) not in in_stem]
    words: Any = model.get_input_embeddings().weight
    text = [p for p in model.parameters() if id(p) not in in_vision and p is not words]
    return (
        Part([*tower, *nouns.parameters()], visual.blocks, stage.vision_lr),
        Part(pretrained, None, STEM_LR_RATIO * stage.vision_lr),
        Part(general, None, 0.0),
        Part(text, language.layers, stage.text_lr),
        Part([words], None, stage.text_lr if stage.vision_lr else 0.0),
    )

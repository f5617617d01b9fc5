"""Copies the text model or the vision tower of an earlier nano into a new one with another vocabulary, stem or size."""

from pathlib import Path
from typing import Any

import torch

from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.model.vision_stem import StemmedVisionTower
from stamp.training.learning.checkpoint import read_weights


@torch.no_grad()
def adopt_text_layers(model: StampForSegmentation, folder: Path) -> None:
    """Copy text layers and classifier of a checkpoint; the words stay those that the model's vision tower knows."""
    _copy_text_layers(model, read_weights(StampForSegmentation, folder, may_have_more=True))


@torch.no_grad()
def adopt_text(model: StampForSegmentation, processor: StampProcessor, folder: Path) -> int:
    """Copy text layers and classifier of a checkpoint, and the embeddings of tokens that both tokenizers have.

    Other tokens keep their random embeddings: the layers have learned to match any word with the cells that show it.
    Returns the number of copied tokens.
    """
    other = read_weights(StampForSegmentation, folder, may_have_more=True)
    theirs, ours = StampProcessor.from_pretrained(folder).tokenizer.get_vocab(), processor.tokenizer.get_vocab()
    _copy_text_layers(model, other)
    shared = sorted(ours.keys() & theirs.keys())
    rows, their_rows = [ours[token] for token in shared], [theirs[token] for token in shared]
    embeddings, their_embeddings = model.model.language_model.embed_tokens, other.model.language_model.embed_tokens
    embeddings.weight[rows] = their_embeddings.weight[their_rows]
    return len(shared)


@torch.no_grad()
def adopt_vision_tower(model: StampForSegmentation, processor: StampProcessor, folder: Path) -> None:
    """Copy the vision tower of a checkpoint. If it has no stem, the new stem adds nothing at first."""
    other = read_weights(StampForSegmentation, folder, may_have_more=True)
    tower, theirs = model.model.visual, other.model.visual
    if isinstance(theirs, StemmedVisionTower) == isinstance(tower, StemmedVisionTower):
        tower.load_state_dict(theirs.state_dict())
        return
    assert isinstance(tower, StemmedVisionTower)
    tower.blocks.load_state_dict(theirs.blocks.state_dict())
    tower.merger.load_state_dict(theirs.merger.state_dict())
    images, their_images = processor.image_processor, StampProcessor.read_image_processor(folder)
    # theirs = ours * scale + shift, for each channel of the pixels
    std, their_std = torch.tensor(images.image_std), torch.tensor(their_images.image_std)
    shift = (torch.tensor(images.image_mean) - torch.tensor(their_images.image_mean)) / their_std
    weight: Any = theirs.patch_embed.proj.weight
    tower.patch_projection.weight.copy_((weight * (std / their_std).view(1, 3, 1, 1, 1)).flatten(1))
    tower.stem.project.weight.zero_()
    tower.stem.project.bias.copy_(torch.einsum("dcthw,c->d", weight, shift))


def _copy_text_layers(model: StampForSegmentation, other: StampForSegmentation) -> None:
    weights = other.model.language_model.state_dict()
    weights["embed_tokens.weight"] = model.get_input_embeddings().weight
    model.model.language_model.load_state_dict(weights)
    model.classifier.load_state_dict(other.classifier.state_dict())

"""A new nano takes over what an earlier one knows of language: its vocabulary, its eyes and its sizes may differ."""

from pathlib import Path

import torch

from stamp.modeling_stamp import StampForSegmentation
from stamp.processing_stamp import StampProcessor


@torch.no_grad()
def adopt_text(model: StampForSegmentation, processor: StampProcessor, folder: Path) -> int:
    """Copy text layers and classifier of a checkpoint, and the embeddings of the tokens that both tokenizers have.

    Other tokens keep their random embeddings: the layers have learned to match any word with the cells that show it.
    Returns how many tokens were copied.
    """
    other = StampForSegmentation.from_pretrained(folder, dtype=torch.float32)
    theirs, ours = StampProcessor.from_pretrained(folder).tokenizer.get_vocab(), processor.tokenizer.get_vocab()
    weights = other.model.language_model.state_dict()
    weights["embed_tokens.weight"] = model.get_input_embeddings().weight
    model.model.language_model.load_state_dict(weights)
    model.classifier.load_state_dict(other.classifier.state_dict())
    shared = sorted(ours.keys() & theirs.keys())
    rows, their_rows = [ours[token] for token in shared], [theirs[token] for token in shared]
    embeddings, their_embeddings = model.model.language_model.embed_tokens, other.model.language_model.embed_tokens
    embeddings.weight[rows] = their_embeddings.weight[their_rows]
    return len(shared)


@torch.no_grad()
def adopt_eyes(model: StampForSegmentation, folder: Path) -> None:
    """Copy the vision tower of a checkpoint of the same sizes."""
    other = StampForSegmentation.from_pretrained(folder, dtype=torch.float32)
    model.model.visual.load_state_dict(other.model.visual.state_dict())

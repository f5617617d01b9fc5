"""Location tokens: words of a new vocabulary that stand for places in the picture, so that a mask takes few tokens.

After Pix2Seq (arXiv 2109.10852), with a token for each step of a coordinate. They are ordinary words of an answer: the
tokenizer decodes them to text like `<x12>`, but what a user types never becomes one.
"""

from collections.abc import Iterable, Mapping

import torch
from tokenizers import AddedToken
from torch import Tensor

from benchmarks.baselines.mask_text import Location, MaskText
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor

#: Waves per coordinate in the first embedding of a token, from half a wave across the picture.
WAVES = (0.5, 1.0, 2.0, 4.0, 8.0)


def knows(processor: StampProcessor, form: MaskText) -> bool:
    """Whether a checkpoint's tokenizer has the tokens of a format."""
    return set(form.vocabulary) <= set(processor.tokenizer.get_added_vocab())


def check_knows(processor: StampProcessor, form: MaskText) -> None:
    """Raises ValueError if a checkpoint's tokenizer has no tokens of a format."""
    if not knows(processor, form):
        raise ValueError(
            f"This checkpoint has no location tokens of {form.name}, so it cannot write masks that way. "
            f"Train one with `python -m benchmarks train --methods {form.name} --from BACKBONE`."
        )


def ids_of(processor: StampProcessor, tokens: Iterable[str]) -> list[int]:
    """The ids of tokens that a processor knows."""
    return list(map(processor.tokenizer.get_added_vocab().__getitem__, tokens))


@torch.no_grad()
def add_tokens(model: StampForSegmentation, processor: StampProcessor, form: MaskText) -> None:
    """Add the tokens of a format to a model and to its tokenizer.

    Tokens of near places have similar embeddings at first, of the length that words have.
    """
    tokenizer = processor.tokenizer
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in form.vocabulary])
    words = model.get_input_embeddings().get_parameter("weight")
    length = words.norm(dim=1).mean()
    first = waves_of(form.vocabulary, words.shape[1]) * length
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.get_input_embeddings().get_parameter("weight")[ids_of(processor, form.vocabulary)] = first.to(words)


def waves_of(vocabulary: Mapping[str, Location], width: int) -> Tensor:
    """(tokens, width) of length 1: for each kind random directions, along which waves of coordinates lie."""
    random = torch.Generator().manual_seed(0)
    rows = torch.zeros(len(vocabulary), width)
    for kind in dict.fromkeys(location.kind for location in vocabulary.values()):
        mine = [row for row, location in enumerate(vocabulary.values()) if location.kind == kind]
        points = torch.tensor([location.coordinates for location in vocabulary.values() if location.kind == kind])
        angles = 2 * torch.pi * points.view(len(mine), -1, 1) * torch.tensor(WAVES)
        features = torch.cat([torch.ones(len(mine), 1), angles.sin().flatten(1), angles.cos().flatten(1)], dim=1)
        rows[mine] = features @ torch.randn(features.shape[1], width, generator=random)
    return torch.nn.functional.normalize(rows, dim=1)

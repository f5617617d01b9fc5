"""Which weights mask training starts from."""

import torch

from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.mask_objective import AllMask
from stamp.training.learning.nano import build_model


def test_a_backbone_looks_for_nouns_with_the_look_for_cells_exchanged(processor: StampProcessor) -> None:
    """Scores between cells and nouns are then those of the backbone's first head with the two in each other's place."""
    model = build_model(processor, seed=0)
    attention = model.model.language_model.layers[1].self_attn
    heads = {name: getattr(attention, name).weight.detach().clone().view(3, 64, 192) for name in ("q_proj", "k_proj")}
    hidden = torch.randn(5, 192)
    noun_to_cell = (hidden @ heads["q_proj"][0].T) @ (hidden @ heads["k_proj"][0].T).T
    assert AllMask().adopt(model, processor) is model
    query, key = (getattr(attention, name).weight.detach().view(3, 64, 192) for name in ("q_proj", "k_proj"))
    cell_to_noun = (hidden @ query[2].T) @ (hidden @ key[2].T).T
    torch.testing.assert_close(cell_to_noun, noun_to_cell.T)
    for head in (0, 1):
        assert torch.equal(query[head], heads["q_proj"][head])
        assert torch.equal(key[head], heads["k_proj"][head])


def test_a_model_that_gives_masks_stays_as_it_is(processor: StampProcessor) -> None:
    model = build_model(processor, seed=0)
    with torch.no_grad():
        model.classifier.bias.fill_(0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    AllMask().adopt(model, processor)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

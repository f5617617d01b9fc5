"""Attention and probe losses of the text model, against loops over what transformers' layers give."""

import math

import pytest
import torch

from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.attention_targets import HEADS, Head
from stamp.training.learning.batch import Batch, Rows
from stamp.training.learning.data import BatchMaker, BatchPlan
from stamp.training.learning.grounding import Grounding
from stamp.training.learning.nano import build_model
from stamp.training.scenes.art import ArtLibrary
from tests.training.conftest import STYLES


def divergence(wanted: list[float], weights: list[float]) -> float:
    return sum(w * math.log(w / a) for w, a in zip(wanted, weights, strict=True) if w > 0)


@torch.no_grad()
def read(model: StampForSegmentation, batch: Batch, rows: Rows, features: torch.Tensor) -> None:
    """Run the text model over some rows; features: (N, P, H) of the batch's images."""
    image = rows.image_index
    model.forward_rows(rows.input_ids, rows.attention_mask, features[image], batch.grid_thw[image], rows.seg_index)


def test_the_loss_is_about_the_real_attention_weights(library: ArtLibrary, processor: StampProcessor) -> None:
    model = build_model(processor, 0).eval()
    model.set_attn_implementation("eager")
    grounding = Grounding(model)
    kept: list[torch.Tensor] = []
    for layer in model.model.language_model.layers:
        layer.self_attn.register_forward_hook(lambda module, given, output: kept.append(output[1]))
    batch = BatchMaker(BatchPlan(6, 2, 1, 1, 3, seed_offset=0, styles=STYLES), processor, library, 1, False)[0]
    features = torch.randn(2, batch.coverage.shape[1], 192)
    for rows in (batch.mask_rows, batch.text_rows):
        assert rows is not None
        kept.clear()
        read(model, batch, rows, features)
        found = grounding.attention_loss(rows).item()
        by_head: dict[Head, list[float]] = {head: [] for head in Head}
        for (head, row, query), wanted in zip(
            rows.attention_index.tolist(), rows.attention_targets.tolist(), strict=True
        ):
            layer_number, numbers = HEADS[Head(head)]
            for number in numbers:
                by_head[Head(head)].append(divergence(wanted, kept[layer_number][row, number, query].tolist()))
        means = [sum(values) / len(values) for values in by_head.values() if values]
        assert len(means) >= 3
        assert found == pytest.approx(sum(means), rel=1e-4)


def normed(hidden: torch.Tensor) -> list[float]:
    return [value / math.sqrt(float((hidden**2).mean())) for value in hidden.tolist()]


def test_image_states_are_those_of_image_and_mask_tokens(library: ArtLibrary, processor: StampProcessor) -> None:
    """Picked token by token out of what the layer before gives: image tokens of each row, then its mask tokens."""
    model = build_model(processor, 0).eval()
    grounding = Grounding(model)
    kept: list[torch.Tensor] = []
    layer = model.model.language_model.layers[2]
    layer.register_forward_hook(lambda module, given, output: kept.append(output))
    batch = BatchMaker(BatchPlan(6, 2, 1, 2, 3, seed_offset=0, styles=STYLES), processor, library, 1, False)[0]
    n_cells = batch.coverage.shape[1]
    features = torch.randn(2, n_cells, 192)
    for rows, repeats in ((batch.mask_rows, 2), (batch.text_rows, 1)):
        assert rows is not None
        image = rows.image_index
        kept.clear()
        read(model, batch, rows, features)
        states = grounding.image_states(rows, n_cells, layer=3)
        (given,) = kept
        length = rows.input_ids.shape[1]
        assert given.shape[1] == length + (repeats - 1) * n_cells
        expected = []
        for row, ids in enumerate(rows.input_ids.tolist()):
            expected.append([given[row, i] for i, token in enumerate(ids) if token == processor.image_token_id])
        if repeats == 2:
            expected += [[given[row, length + cell] for cell in range(n_cells)] for row in range(len(image))]
        assert states.shape == (repeats * len(image), n_cells, 192)
        wanted = [[normed(token) for token in tokens] for tokens in expected]
        torch.testing.assert_close(states, torch.tensor(wanted))


def test_what_an_answer_found_is_read_off_its_tokens(library: ArtLibrary, processor: StampProcessor) -> None:
    """Against a loop over FOUND targets: the nouns of the cells they point to, from states before layer 4."""
    model = build_model(processor, 0).eval()
    grounding = Grounding(model)
    kept: list[torch.Tensor] = []
    model.model.language_model.layers[3].register_forward_hook(lambda module, given, output: kept.append(output))
    batch = BatchMaker(BatchPlan(6, 2, 0, 1, 12, seed_offset=0, styles=STYLES), processor, library, 1, False)[0]
    rows, n_cells = batch.text_rows, batch.coverage.shape[1]
    assert rows is not None
    vectors = torch.randn(batch.coverage.shape[2], 192) / 10
    read(model, batch, rows, torch.randn(2, n_cells, 192))
    found = grounding.found_probe_loss(rows, batch.coverage, vectors).item()
    losses = []
    for (head, row, query), shares in zip(rows.attention_index.tolist(), rows.attention_targets.tolist(), strict=True):
        if head != Head.FOUND:
            continue
        start = rows.input_ids[row].tolist().index(processor.image_token_id)
        cells = shares[start : start + n_cells]
        image = int(rows.image_index[row])
        nouns = [
            sum(share * float(batch.coverage[image, cell, noun]) for cell, share in enumerate(cells))
            for noun in range(1, batch.coverage.shape[2])
        ]
        scores = (vectors[1:] @ torch.tensor(normed(kept[0][row, query]))).log_softmax(0).tolist()
        losses.append(-sum(share / sum(nouns) * score for share, score in zip(nouns, scores, strict=True)))
    assert len(losses) > 5
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_nouns_and_answers_know_what_is_where(library: ArtLibrary, processor: StampProcessor) -> None:
    """Against a loop over targets: marks of the cells a noun attends to, and how many objects share EACH target."""
    model = build_model(processor, 0).eval()
    grounding = Grounding(model)
    kept: list[torch.Tensor] = []
    for number in (1, 2):
        model.model.language_model.layers[number].register_forward_hook(
            lambda module, given, output: kept.append(output)
        )
    batch = BatchMaker(BatchPlan(6, 2, 0, 1, 12, seed_offset=0, styles=STYLES), processor, library, 1, False)[0]
    rows, n_cells = batch.text_rows, batch.coverage.shape[1]
    assert rows is not None
    marks = torch.rand(2, n_cells, 3)
    read(model, batch, rows, torch.randn(2, n_cells, 192))
    states, facts = grounding.fact_probe_states(rows, marks)
    known: dict[tuple[int, int], list[float]] = {}
    answered: list[tuple[tuple[int, int], tuple[int, int]]] = []
    targets = list(zip(rows.attention_index.tolist(), rows.attention_targets.tolist(), strict=True))
    for (head, row, query), shares in targets:
        start = rows.input_ids[row].tolist().index(processor.image_token_id)
        if head == Head.CELLS:
            image = int(rows.image_index[row])
            cells = list(enumerate(shares[start : start + n_cells]))
            known[row, query] = [sum(share * float(marks[image, c, m]) for c, share in cells) for m in range(3)]
        elif head == Head.EACH:
            count = round(1 / shares[0]) - 1
            known[row, query] += [float(count >= n) for n in (1, 2, 3, 4)]
        elif head == Head.ASKED and max(shares) == 1:
            answered.append(((row, query), (row, shares.index(1.0))))
    wanted = [*known.values(), *(known[noun] for _, noun in answered)]
    torch.testing.assert_close(facts, torch.tensor(wanted))
    expected = [normed(kept[0][row, query]) for row, query in known]
    expected += [normed(kept[1][row, query]) for (row, query), _ in answered]
    torch.testing.assert_close(states, torch.tensor(expected))
    assert len(answered) > 10
    assert {1.0, 0.0} == set(facts[:, 3].tolist())
    assert 0 < facts[:, 4].mean() < 1

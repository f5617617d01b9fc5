"""Where the text model looks, against loops over the attention weights of transformers' eager attention."""

import math

import pytest
import torch

from stamp.training.art import ArtLibrary
from stamp.training.data import BatchMaker, BatchPlan
from stamp.training.grounding import HEADS, Grounding
from stamp.training.looks import Head
from stamp.training.nano import build_model, build_processor
from tests.training.conftest import STYLES


def divergence(wanted: list[float], weights: list[float]) -> float:
    return sum(w * math.log(w / a) for w, a in zip(wanted, weights, strict=True) if w > 0)


def test_the_loss_is_about_the_real_attention_weights(library: ArtLibrary) -> None:
    processor = build_processor()
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
        image = rows.image_index
        kept.clear()
        with torch.no_grad():
            model.forward_rows(
                rows.input_ids, rows.attention_mask, features[image], batch.grid_thw[image], rows.seg_index
            )
            found = grounding.look_loss(rows).item()
        by_head: dict[Head, list[float]] = {head: [] for head in Head}
        for (head, row, query), wanted in zip(rows.look_index.tolist(), rows.look_shares.tolist(), strict=True):
            layer_number, number = HEADS[Head(head)]
            weights = kept[layer_number][row, number, query].tolist()
            by_head[Head(head)].append(divergence(wanted, weights))
        means = [sum(values) / len(values) for values in by_head.values() if values]
        assert len(means) >= 3
        assert found == pytest.approx(sum(means), rel=1e-4)

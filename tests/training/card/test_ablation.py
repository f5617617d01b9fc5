"""Variants of all-mask prediction: what each changes, and that all are trained and measured on the same."""

import json
from pathlib import Path

import pytest
import torch

from stamp.model.processing_stamp import StampProcessor
from stamp.training.card.ablation import (
    VARIANTS,
    AblationPlan,
    CausalMaskStamp,
    PlainQueryStamp,
    SequentialStamp,
    ablation_table,
    run_ablation,
    write_ablation,
)
from stamp.training.learning.processes import TrainingProcesses
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.scenes import VALIDATION_SEEDS
from tests.narrow import narrow_model
from tests.training.conftest import STYLES


def test_each_variant_changes_one_thing(processor: StampProcessor) -> None:
    full = narrow_model(processor)
    assert full.config.mask_position_mode == "image"
    real = torch.tensor([[1, 1, 1, 1, 0]])
    causal = VARIANTS["causal"].adopt(full, processor)
    assert isinstance(causal, CausalMaskStamp)
    seen, seen_by_full = (model.row_attention(real, torch.tensor([2]), 3)[0, 0] for model in (causal, full))
    assert torch.equal(seen[:, :5], seen_by_full[:, :5])
    assert seen[5:, 5:].tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert seen_by_full[5:, 5:].all()
    features = torch.randn(4, full.config.text_config.hidden_size)
    plain = VARIANTS["no patch features"].adopt(full, processor)
    assert isinstance(plain, PlainQueryStamp)
    word = full.get_input_embeddings().get_parameter("weight")[full.config.mask_token_id]
    assert torch.equal(plain.mask_queries(features), word.expand(4, -1))
    assert torch.equal(full.mask_queries(features), word + features)
    sequential = VARIANTS["sequential positions"].adopt(full, processor)
    assert isinstance(sequential, SequentialStamp)
    seg, image = torch.tensor([7]), torch.tensor([3])
    assert sequential.mask_positions(seg, image, (2, 2)).tolist() == [[[8, 9, 10, 11]]] * 3
    assert full.mask_positions(seg, image, (2, 2))[:, 0].tolist() == [[3] * 4, [3, 3, 4, 4], [3, 4, 3, 4]]


def test_all_are_trained_and_measured_on_the_same_and_only_once(
    library: ArtLibrary, narrow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = {name: VARIANTS[name] for name in ("full", "causal")}
    plan = AblationPlan(narrow, STYLES, steps=1, grid=6, images=2, batches=2, variants=two)
    rows = run_ablation(plan, library, tmp_path / "runs", TrainingProcesses())
    assert [row["variant"] for row in rows] == ["full"] * 4 + ["causal"] * 4
    assert [row["seed"] for row in rows[:4]] == [row["seed"] for row in rows[4:]]
    assert all(row["seed"] in VALIDATION_SEEDS and 0 <= row["iou"] <= 1 for row in rows)
    with monkeypatch.context() as patch:
        patch.setattr("stamp.training.card.ablation.Trainer", None)  # nothing is trained again
        assert run_ablation(plan, library, tmp_path / "runs", TrainingProcesses()) == rows
    table = write_ablation(rows, {"steps": 1}, tmp_path)
    record = json.loads((tmp_path / "ablation.json").read_text())
    assert record["scores"]["full"]["mean"] == pytest.approx(sum(row["iou"] for row in rows[:4]) / 4)
    assert table == ablation_table(record)
    assert "| causal | mask tokens see only those before them |" in table

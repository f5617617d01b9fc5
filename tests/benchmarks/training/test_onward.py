"""Trained methods go on, and their records say so."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.budget import pictures_seen, read_budget
from benchmarks.training import train as training
from benchmarks.training.objectives import OBJECTIVES
from benchmarks.training.onward import RATE_SHARE
from benchmarks.training.recipe import SEVERAL_ONWARD, best_rate
from benchmarks.training.train import Means, train
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.training.learning.batch import Batch
from stamp.training.learning.checkpoint import export_checkpoint
from stamp.training.learning.config import Stage
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from tests.benchmarks.training.test_training import CPU, backbone, plan, trainer_of, weights_of
from tests.training.conftest import library

__all__ = ["backbone", "library"]


@pytest.mark.parametrize("method", OBJECTIVES)
def test_a_method_starts_from_all_weights_that_it_had(
    method: str, library: ArtLibrary, backbone: Path, tmp_path: Path
) -> None:
    """Also from those that no other method has, as a mask decoder's."""
    first = trainer_of(library, backbone, method, tmp_path / "first")
    with torch.no_grad():
        for parameter in first.model.parameters():
            parameter.copy_(torch.randn(parameter.shape).bfloat16())  # the checkpoint's precision
    export_checkpoint(first.model, first.processor, tmp_path / "trained")
    again = trainer_of(library, tmp_path / "trained", method, tmp_path / "again")
    had, has = weights_of(first), weights_of(again)
    assert has.keys() == had.keys()
    assert [name for name, value in had.items() if not torch.equal(has[name], value)] == []


def test_weights_of_another_class_are_refused(library: ArtLibrary, backbone: Path, tmp_path: Path) -> None:
    embedding = trainer_of(library, backbone, "embedding", tmp_path / "embedding")
    export_checkpoint(embedding.model, embedding.processor, tmp_path / "trained")
    with pytest.raises(ValueError, match=r"no checkpoint of StampForSegmentation: \d+ weights, as mask_decoder"):
        trainer_of(library, tmp_path / "trained", "stamp", tmp_path / "stamp")


def test_trained_methods_go_on(
    library: ArtLibrary, backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From their own weights, at a sixth of the rate, on other pictures; records count all pictures."""
    monkeypatch.setattr(training, "MAX_NEW_TOKENS", 8)
    monkeypatch.setattr(training, "CURVE_SAMPLES", 4)
    means = Means(library, None, CPU, workers=0)
    train(plan(backbone, "polygon"), means, tmp_path)
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "polygon" / "model").rename(assets / "nano-polygon")
    assert pictures_seen({"polygon": assets / "nano-polygon"}) == 2
    further = replace(plan(backbone, "polygon"), onward=assets)
    trainers: list[Trainer] = []
    original = Trainer.train_step

    def watched(self: Trainer, stage: Stage, step: int, batch: Batch) -> dict[str, float]:
        if not trainers:
            first = StampForSegmentation.from_pretrained(assets / "nano-polygon", dtype=torch.float32).state_dict()
            assert all(torch.equal(first[name], value) for name, value in weights_of(self).items())
        trainers.append(self)
        return original(self, stage, step, batch)

    monkeypatch.setattr(Trainer, "train_step", watched)
    texts = train(further, means, tmp_path / "further")
    model = tmp_path / "further" / "polygon" / "model"
    sweep = json.loads((model / "sweep.json").read_text())
    (stage,), (first_stage,) = trainers[0].config.stages, plan(backbone, "polygon").config(1.0, 1).stages
    assert stage.text_lr == RATE_SHARE * best_rate(sweep["rows"])
    assert stage.plan.seed_offset == first_stage.plan.seed_offset + 2
    assert (first_stage.plan.several, stage.plan.several) == (1, SEVERAL_ONWARD)
    assert read_budget(model)["pictures_seen"] == 4
    rows = [json.loads(line) for line in (model / "curve.jsonl").read_text().splitlines()]
    assert [row["pictures"] for row in rows] == [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4
    assert (
        "It went on from a checkpoint that had seen 2 pictures, at 0.17 times the best rate below." in texts["polygon"]
    )
    with pytest.raises(ValueError, match="same number of pictures: polygon 2, embedding None"):
        pictures_seen({"polygon": assets / "nano-polygon", "embedding": assets / "nano-embedding"})

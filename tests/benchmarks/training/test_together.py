"""Methods that learn from shared pictures: as each does alone, also after an interruption."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.training.objectives import OBJECTIVES
from benchmarks.training.together import train_together
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from tests.benchmarks.training.test_training import backbone, trainer_of, weights_of
from tests.training.conftest import library

__all__ = ["backbone", "library"]


def test_methods_learn_together_what_each_learns_alone(library: ArtLibrary, backbone: Path, tmp_path: Path) -> None:
    """The tower and the words that it knows stay; of the embeddings only a method's own ones change."""
    alone = [trainer_of(library, backbone, name, tmp_path / "alone" / name) for name in OBJECTIVES]
    together = [trainer_of(library, backbone, name, tmp_path / name, rate=1e-3) for name in OBJECTIVES]
    before = [weights_of(trainer) for trainer in together]
    for trainer in alone:
        train_together([trainer])
    train_together(together)
    for one, other, start in zip(alone, together, before, strict=True):
        learned = weights_of(other)
        for name, value in weights_of(one).items():
            assert torch.equal(learned[name], value), name
        moved = {name for name, value in learned.items() if not torch.equal(value, start[name])}
        assert moved
        assert not any(name.startswith("model.visual") for name in moved)
        words = "model.language_model.embed_tokens.weight"
        rows = (learned[words] != start[words]).any(1).nonzero().flatten().tolist()
        assert set(rows) == set(other.masks.words(other.processor))


def test_pictures_are_shared_only_if_the_tower_stays(library: ArtLibrary, backbone: Path, tmp_path: Path) -> None:
    trainer = trainer_of(library, backbone, "stamp", tmp_path)
    (stage,) = trainer.config.stages
    trainer.config = replace(trainer.config, stages=(replace(stage, vision_lr=1e-4),))
    with pytest.raises(ValueError, match="only share pictures"):
        train_together([trainer])


def test_resuming_gives_the_very_same_weights(library: ArtLibrary, backbone: Path, tmp_path: Path) -> None:
    """Two methods, stopped after a step, then killed between their saves: one waits for the other.

    The decoder is part of the state.
    """
    names = ("polygon", "embedding")
    whole = [trainer_of(library, backbone, name, tmp_path / "whole" / name) for name in names]
    start = weights_of(whole[1])
    train_together(whole)
    moved = {name for name, value in weights_of(whole[1]).items() if not torch.equal(value, start[name])}
    parts = {name.split(".")[1] for name in moved if name.startswith("mask_decoder")}
    assert parts == {"prompt", "image_projection", "no_dense_prompt", "decoder"}  # not the positions
    part = [trainer_of(library, backbone, name, tmp_path / name) for name in names]
    with pytest.raises(KeyboardInterrupt):
        train_together(part, lambda _: part[0].processes.stop.set())
    part = [trainer_of(library, backbone, name, tmp_path / name) for name in names]
    assert [trainer.resume() for trainer in part] == [True, True]
    assert [trainer.progress.step for trainer in part] == [1, 1]
    original = Trainer.save

    def dying(self: Trainer) -> None:
        if self.masks.name == "embedding":
            raise RuntimeError("killed")
        original(self)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(Trainer, "save", dying)
        train_together(part)
    again = [trainer_of(library, backbone, name, tmp_path / name) for name in names]
    assert [trainer.resume() for trainer in again] == [True, True]
    assert [trainer.progress.step for trainer in again] == [2, 1]
    train_together(again)
    for one, other in zip(whole, again, strict=True):
        for name, value in weights_of(one).items():
            assert torch.equal(other.model.state_dict()[name], value), name
    with pytest.raises(ValueError, match="another mask objective"):
        trainer_of(library, backbone, "stamp", tmp_path / "polygon").resume()

"""One step of the trainer, exactly: what its losses are made of, what the optimizer gets, and when it is saved."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.batch import Batch, Rows
from stamp.training.learning.cells import N_ATTRIBUTES
from stamp.training.learning.config import TrainingConfig
from stamp.training.learning.mask_objective import AllMask
from stamp.training.learning.nano import build_model
from stamp.training.learning.objectives import NounFeatures, mask_loss, run_rows
from stamp.training.learning.optimizer import ParamGroup, parts_of
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from tests.training.conftest import LEXICON
from tests.training.learning.test_trainer import JOINT, WORDS, Make, make

__all__ = ["make"]


def loss_of_parts(run: Trainer, batch: Batch, rows: Rows, embeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(answers, attention and probes) of some rows, from tested parts, with the weights written out."""
    image = rows.image_index
    output = run.model.forward_rows(
        rows.input_ids, rows.attention_mask, embeds[image], batch.grid_thw[image], rows.seg_index
    )
    labels = rows.input_ids.where(rows.is_answer, -100)
    logits = run.model.lm_head(output.hidden_states)
    text = functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    vectors = run.nouns.vectors(run.model.get_input_embeddings().get_parameter("weight"))
    n_cells = batch.places.shape[1]
    states = {layer: run.grounding.image_states(rows, n_cells, layer) for layer in (1, 3)}
    repeated = image.repeat(len(states[1]) // len(image))
    places = sum(functional.mse_loss(states[layer] @ axes(run, 2) / 2, batch.places[repeated]) for layer in (1, 3))
    nouns = functional.cross_entropy(
        (states[3] @ vectors.T).flatten(0, 1), batch.coverage[repeated].flatten(0, 1), reduction="none"
    )
    weights = batch.weights[repeated].flatten()
    marks = torch.cat([batch.places, batch.attributes[..., 2:]], dim=-1)
    states_of_nouns, known = run.grounding.fact_probe_states(rows, marks)
    probe = (
        run.grounding.attention_loss(rows)
        + 10 * places
        + 1 * (nouns * weights).sum() / weights.sum()
        + 60 * functional.mse_loss(states_of_nouns @ axes(run, known.shape[1]) / 2, known)
        + 3 * run.grounding.found_probe_loss(rows, batch.coverage, vectors)
    )
    return text, 0.1 * probe


def axes(run: Trainer, count: int) -> torch.Tensor:
    """(H, count): the directions in which attributes are shown, at twice their value."""
    return run.nouns.directions[:count].T


def test_losses_are_the_weighted_sums_of_their_parts(make: Make, tmp_path: Path) -> None:
    """Pictures in which some cells are not trusted; every weight is a number here."""
    run = make(tmp_path, TrainingConfig((JOINT,), precision="float32"))
    batch = next(run._batches(JOINT, 0))
    batch.weights[0, ::3] = 0.25
    with torch.no_grad():
        losses, shown = run.losses(JOINT, batch)
        assert batch.pixel_values is not None
        assert batch.mask_rows is not None
        assert batch.text_rows is not None
        embeds = torch.stack(run.model.encode_images(batch.pixel_values, batch.grid_thw))
        ideal = run.nouns.ideal(
            batch.coverage, batch.attributes, run.model.get_input_embeddings().get_parameter("weight")
        )
        logits = run.nouns.classify(embeds, run.model.get_input_embeddings().get_parameter("weight"))
        entropy = -(batch.coverage * logits.log_softmax(-1)).sum(-1)
        of_rows = [loss_of_parts(run, batch, rows, embeds) for rows in (batch.mask_rows, batch.text_rows)]
        masks = run_rows(run.model, batch.mask_rows, batch, embeds).mask_logits
        assert masks is not None
        assert batch.mask_rows.target is not None
        expected = {
            "dense": (batch.weights * entropy).sum() / batch.weights.sum(),
            "align": 3 * (batch.weights[..., None] * (embeds - ideal) ** 2).mean(),
            "attributes": 6 * functional.mse_loss(embeds @ axes(run, N_ATTRIBUTES) / 2, batch.attributes),
            "text": of_rows[0][0] + of_rows[1][0],
            "inside": of_rows[0][1] + of_rows[1][1],
            "mask": mask_loss(masks, batch.mask_rows.target).mean(),
        }
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-4), name
    assert float(losses["inside"]) > 0.1
    assert set(shown) == {"cells", "iou"}


def test_image_features_of_a_stage_on_words_are_perfect_but_for_noise(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path)
    batch = next(run._batches(WORDS, 0))
    given: list[torch.Tensor] = []

    def stop(model: torch.nn.Module, rows: Rows, batch: Batch, embeds: torch.Tensor) -> None:
        given.append(embeds)
        raise ZeroDivisionError

    monkeypatch.setattr("stamp.training.learning.trainer.run_rows", stop)
    with pytest.raises(ZeroDivisionError):
        run.losses(WORDS, batch)
    noise = given[0] - run.nouns.ideal(
        batch.coverage, batch.attributes, run.model.get_input_embeddings().get_parameter("weight")
    )
    assert float(noise.std()) == pytest.approx(0.05, rel=0.1)


class Gradients:
    """Stands in for the optimizer: keeps what a step is given."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        self.factor = -1.0
        self.kept: list[torch.Tensor] = []

    def keep_own_rows(self) -> None:
        """Every row is trained."""

    def step(self, lr_factor: float) -> None:
        self.factor = lr_factor
        self.kept = [torch.zeros_like(one) if one.grad is None else one.grad.clone() for one in self.parameters]


@pytest.mark.parametrize("largest", [0.5, 1e6])
def test_a_step_follows_the_gradient_of_all_losses_and_no_further_than_allowed(
    make: Make, tmp_path: Path, largest: float
) -> None:
    """Against the gradient of their sum by autograd: its length is cut to the largest that is allowed, or left."""
    stage = replace(JOINT, steps=8, warmup_steps=4, teacher_mix=0.5)
    run = make(tmp_path, TrainingConfig((stage,), seed=7, precision="float32", max_grad_norm=largest))
    batch = next(run._batches(stage, 0))
    parameters = [one for one in run.model.parameters() if one.requires_grad]
    optimizer = Gradients([*parameters, *run.nouns.parameters()])
    run.optimizer = optimizer  # type: ignore[assignment]
    reported = run.train_step(stage, 1, batch)
    assert optimizer.factor == 0.5  # two of the four steps of warming up
    torch.manual_seed(7 + 1)
    losses, _ = run.losses(stage, batch)
    assert {name: reported[name] for name in losses} == pytest.approx(
        {name: float(one) for name, one in losses.items()}
    )
    total = torch.stack(list(losses.values())).sum()
    gradients = torch.autograd.grad(total, optimizer.parameters, allow_unused=True)
    whole = [torch.zeros_like(p) if g is None else g for p, g in zip(optimizer.parameters, gradients, strict=True)]
    length = float(torch.cat([one.flatten() for one in whole]).norm())
    assert 0.5 < length < 1e6
    for found, gradient in zip(optimizer.kept, whole, strict=True):
        torch.testing.assert_close(found, gradient * min(1.0, largest / length), rtol=1e-3, atol=1e-6)


def test_the_default_step_is_clipped_and_decays() -> None:
    config = TrainingConfig((WORDS,))
    assert (config.max_grad_norm, config.weight_decay) == (1.0, 0.05)


def test_the_optimizer_of_a_stage_has_its_decay_and_its_rates(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vision tower, text and words; words move only with the tower, but for the tokens of masks."""
    made: list[tuple[dict[int, float], float]] = []
    rows: list[Sequence[int] | None] = []

    def optimizers(parts: tuple[ParamGroup, ...], weight_decay: float) -> Any:
        made.append(({id(p): part.lr for part in parts for p in part.parameters}, weight_decay))
        rows.append(parts[-1].rows)

    monkeypatch.setattr("stamp.training.learning.trainer.Optimizers", optimizers)
    run = make(tmp_path, TrainingConfig((JOINT,), weight_decay=0.25))
    words = run.model.get_input_embeddings().get_parameter("weight")
    for vision_lr in (2e-3, 0.0):
        run.start(replace(JOINT, vision_lr=vision_lr, text_lr=5e-4))
        rates, decay = made.pop()
        assert decay == 0.25
        assert len(rates) == len([*run.model.parameters(), *run.nouns.parameters()])
        for name, parameter in run.model.named_parameters():
            in_text = vision_lr if "visual" in name else 5e-4
            assert rates[id(parameter)] == (5e-4 if parameter is words else in_text), name
        assert all(rates[id(parameter)] == vision_lr for parameter in run.nouns.parameters())
    assert rows == [None, (run.processor.seg_token_id, run.processor.mask_token_id)]


def test_a_pretrained_stem_learns_slowly_and_its_first_layers_not_at_all(processor: StampProcessor) -> None:
    model = build_model(processor, 0)
    nouns = NounFeatures(processor, model, LEXICON)
    parts = parts_of(model, nouns, replace(JOINT, vision_lr=2e-3))
    rates = {id(parameter): part.lr for part in parts for parameter in part.parameters}
    stem = model.model.visual.stem
    assert {rates[id(one)] for one in (*stem.first.parameters(), *stem.fine[:5].parameters())} == {0.0}
    assert {rates[id(one)] for one in (*stem.fine[5:].parameters(), *stem.coarse.parameters())} == {0.15 * 2e-3}
    assert {rates[id(one)] for one in (*stem.project.parameters(), *model.model.visual.blocks.parameters())} == {2e-3}


def test_a_run_without_a_checkpoint_starts_from_the_nano_of_its_seed(
    library: ArtLibrary, processor: StampProcessor, tmp_path: Path
) -> None:
    """The only trainer here of the nano's size; it is not run."""
    config = TrainingConfig((WORDS,), seed=3, vision_stem="patches")
    run = Trainer(config, library, tmp_path, torch.device("cpu"), workers=0)
    assert run.processor.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    expected = AllMask().adopt(build_model(processor, 3, "patches"), processor).state_dict()
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert run.model.training


def test_a_run_saves_every_few_minutes_and_after_each_stage(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes one minute on between any two looks at it, and every two minutes asked for."""
    minutes = itertools.count()
    monkeypatch.setattr("stamp.training.learning.trainer.time.monotonic", lambda: 60.0 * next(minutes))
    monkeypatch.setattr(Trainer, "train_step", lambda *_: {"text": 1.0})
    saved: list[tuple[int, int]] = []
    monkeypatch.setattr(Trainer, "save", lambda self: saved.append((self.progress.stage, self.progress.step)))
    stages = (replace(WORDS, steps=2), replace(WORDS, steps=1))
    make(tmp_path / "often", TrainingConfig(stages, checkpoint_minutes=2, log_every=1)).run()
    assert saved == [(0, 1), (0, 2), (0, 2), (1, 1), (1, 1)]
    saved.clear()
    make(tmp_path / "seldom", TrainingConfig(stages, checkpoint_minutes=1000, log_every=1)).run()
    assert saved == [(0, 2), (1, 1)]

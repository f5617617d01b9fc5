"""The real trainer, a few steps at a time: it learns, and it writes what it should."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
import torch
from safetensors.torch import load_file

from stamp.predictor import StampPredictor
from stamp.training.learning.batch import Batch, Rows
from stamp.training.learning.cells import N_ATTRIBUTES, N_PLACE
from stamp.training.learning.config import Stage, TrainingConfig
from stamp.training.learning.data import BatchPlan
from stamp.training.learning.objectives import word_shares
from stamp.training.learning.optimizer import Optimizers
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.photographs import PhotoLibrary, read_photographs
from stamp.training.scenes.vocabulary import taught_nouns
from tests.narrow import WIDTH
from tests.training.conftest import LEXICON, NOUN, NOUNS, STYLES
from tests.training.photographs import write_coco

VISION = Stage(
    "vision", "vision", BatchPlan(12, 1, 0, 0, 0, seed_offset=0, styles=STYLES), 2, 1e-3, 1e-3, warmup_steps=1
)
WORDS = Stage("words", "words", BatchPlan(6, 2, 2, 1, 2, seed_offset=200, styles=STYLES), 1, 1e-3, 0.0, warmup_steps=1)
JOINT = Stage("joint", "joint", BatchPlan(6, 1, 2, 1, 2, seed_offset=100, styles=STYLES), 3, 1e-3, 1e-3, warmup_steps=1)
TALK = Stage("talk", "joint", BatchPlan(6, 2, 0, 1, 2, seed_offset=300, styles=STYLES), 2, 4e-3, 4e-3, warmup_steps=1)
CONFIG = TrainingConfig((WORDS, VISION, JOINT), log_every=1, precision="float32")


class Make(Protocol):
    """A trainer that writes into a folder; from the narrow model, unless it starts from another one."""

    def __call__(self, out: Path, config: TrainingConfig = CONFIG, init_from: Path | None = None) -> Trainer: ...


@pytest.fixture(scope="module")
def make(library: ArtLibrary, narrow: Path) -> Make:
    def make_trainer(out: Path, config: TrainingConfig = CONFIG, init_from: Path | None = None) -> Trainer:
        return Trainer(config, library, out, torch.device("cpu"), init_from=init_from or narrow, workers=0)

    return make_trainer


@pytest.fixture(scope="module")
def finished(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    run = make(tmp_path_factory.mktemp("run"))
    run.run()
    return run


def test_it_leaves_a_checkpoint_a_log_and_a_state(finished: Trainer) -> None:
    assert {path.name for path in finished.out.iterdir()} == {"log.jsonl", "model", "state.pt", "training.json"}
    rows = [json.loads(line) for line in (finished.out / "log.jsonl").read_text().splitlines()]
    steps = [("words", 1), ("vision", 1), ("vision", 2), ("joint", 1), ("joint", 2), ("joint", 3)]
    assert [(row["stage"], row["step"]) for row in rows] == steps
    assert set(rows[0]) == {"stage", "step", "seconds", "text", "inside", "mask", "iou"}
    pictures = {"dense", "align", "attributes", "cells"}
    assert set(rows[-1]) == {"stage", "step", "seconds", "text", "inside", "mask", "iou"} | pictures
    shards = sorted((finished.out / "model").glob("*.safetensors"))
    assert shards
    stored = {name for shard in shards for name in load_file(shard)}
    assert len(stored) == len(finished.model.state_dict()) - 1
    assert "lm_head.weight" not in stored  # it is the embedding
    predictor = StampPredictor.from_pretrained(finished.out / "model", device="cpu", dtype="float32")
    for name, value in finished.model.state_dict().items():
        assert torch.equal(predictor.model.state_dict()[name], value.bfloat16().float()), name
    config = json.loads((finished.out / "model" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "dtype" not in config["text_config"]
    assert "dtype" not in config["vision_config"]
    assert "is_local" not in json.loads((finished.out / "model" / "tokenizer_config.json").read_text())


def test_it_trains_on_photographs_in_coco_format(make: Make, tmp_path: Path) -> None:
    """What `python -m stamp.training train --photos DIR` does, for a few steps."""
    photos = tmp_path / "photos"
    photos.mkdir()
    photographs = PhotoLibrary(read_photographs(write_coco(photos), NOUNS))
    stages = tuple(replace(stage, plan=replace(stage.plan, photographs=1.0)) for stage in CONFIG.stages)
    run = make(tmp_path / "run", replace(CONFIG, stages=stages))
    run.photographs = photographs
    run.run()
    rows = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    assert all(math.isfinite(row[name]) for row in rows for name in row if name != "stage")
    learned = json.loads((run.out / "model" / "nouns.json").read_text())
    assert list(learned) == [noun.name for noun in NOUNS]
    assert learned["cat"] == {"round": 1, "edgy": 1, "photographs": 2}
    assert learned["apple"] == {"round": 1, "edgy": 1}


def test_init_from_takes_weights_and_nothing_else(
    make: Make, finished: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh optimizer warms up again: the first step uses a small learning rate."""
    stage = replace(VISION, warmup_steps=10)
    run = make(tmp_path, TrainingConfig((stage,), precision="float32"), finished.out / "model")
    for name, value in finished.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value.bfloat16().float()), name
    assert run.progress.step == 0
    factors: list[float] = []
    monkeypatch.setattr(Optimizers, "step", lambda self, factor: factors.append(factor))
    run.run()
    assert factors == pytest.approx([stage.lr_factor(0), stage.lr_factor(1)])
    assert factors[0] == pytest.approx(0.1)


def test_a_few_steps_on_one_batch_lower_every_loss(make: Make, tmp_path: Path) -> None:
    stage = replace(JOINT, steps=100, warmup_steps=1, decay_share=0.01)
    run = make(tmp_path, TrainingConfig((stage,), precision="float32"))
    run.start(stage)
    batch = next(run._batches(stage, 0))
    history = [run.train_step(stage, 0, batch) for _ in range(40)]
    for name in ("text", "inside", "mask", "dense", "align", "attributes"):
        assert history[-1][name] < 0.9 * history[0][name], name


def test_dialogue_alone_is_learned_and_resumed(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage without mask rows, as a backbone has: no mask loss, and a kill between its steps changes nothing."""
    config = TrainingConfig((TALK,), log_every=1, precision="float32", checkpoint_minutes=0)
    whole = make(tmp_path / "whole", config)
    whole.run()
    rows = [json.loads(line) for line in (whole.out / "log.jsonl").read_text().splitlines()]
    losses = {"text", "inside", "dense", "align", "attributes", "cells"}
    assert [set(row) for row in rows] == [{"stage", "step", "seconds"} | losses] * 2
    killed = make(tmp_path / "killed", config)
    original = Trainer.train_step

    def dying_step(self: Trainer, stage: Stage, step: int, *arguments: object) -> dict[str, float]:
        if step == 1:
            raise RuntimeError("killed")
        return original(self, stage, step, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(Trainer, "train_step", dying_step)
        killed.run()
    again = make(killed.out, config)
    assert again.resume()
    assert again.progress.step == 1
    again.run()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    batch = next(again._batches(TALK, 0))
    history = [again.train_step(TALK, 0, batch) for _ in range(8)]
    for name in ("text", "inside"):
        assert history[-1][name] < 0.9 * history[0][name], name


def test_learning_rate_schedule() -> None:
    stage = replace(VISION, steps=100, warmup_steps=10, decay_share=0.2)
    factors = [stage.lr_factor(step) for step in (0, 4, 9, 50, 79, 80, 90, 99)]
    assert factors == pytest.approx([0.1, 0.5, 1, 1, 1, 1, 0.5, 0.05])


def test_stages_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        replace(VISION, steps=0)
    with pytest.raises(ValueError, match="it needs rows"):
        replace(VISION, objective="joint")
    with pytest.raises(ValueError, match="grid must be one of"):
        BatchPlan(13, 1, 0, 0, 0, seed_offset=0, styles=STYLES)


@pytest.mark.parametrize("stage", [WORDS, replace(JOINT, vision_lr=0.0, teacher_mix=0.5)])
def test_a_frozen_part_does_not_move(make: Make, tmp_path: Path, stage: Stage) -> None:
    """Nor do the words that a frozen tower's features are made of: only the tokens of masks."""
    run = make(tmp_path, TrainingConfig((stage,), precision="float32"))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run()
    moved = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any("visual" in name for name in moved)
    words = run.model.get_input_embeddings().get_parameter("weight")
    (name,) = (name for name in moved if "embed_tokens" in name)
    rows = (words != before[name]).any(1).nonzero().flatten().tolist()
    assert set(rows) <= {run.processor.seg_token_id, run.processor.mask_token_id}
    assert rows


def test_features_go_a_random_share_of_the_way_to_perfect_ones(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = replace(TALK, teacher_mix=0.8)
    run = make(tmp_path, TrainingConfig((stage,), precision="float32"))
    batch = next(run._batches(stage, 0))
    assert batch.pixel_values is not None
    given: list[torch.Tensor] = []

    def stop(model: torch.nn.Module, rows: Rows, batch: Batch, embeds: torch.Tensor) -> None:
        given.append(embeds)
        raise ZeroDivisionError

    monkeypatch.setattr("stamp.training.learning.trainer.run_rows", stop)
    for share in (0.8, 0.0):
        with pytest.raises(ZeroDivisionError):
            run.losses(replace(stage, teacher_mix=share), batch)
    seen = torch.stack(run.model.encode_images(batch.pixel_values, batch.grid_thw))
    ideal = run.nouns.ideal(batch.coverage, batch.attributes, run.model.get_input_embeddings().get_parameter("weight"))
    ways = ((given[0] - seen) / (ideal - seen)).flatten(1).median(1).values
    assert torch.allclose(given[0], torch.lerp(seen, ideal, ways[:, None, None]), atol=1e-4)
    assert ((ways > 0) & (ways < 0.8)).all()
    assert ways[0] != ways[1]
    assert torch.equal(given[1], seen)


def test_ideal_features_are_words_and_attributes_of_what_a_cell_shows(make: Make, tmp_path: Path) -> None:
    run = make(tmp_path)
    embeddings = run.model.get_input_embeddings().get_parameter("weight")
    directions = run.nouns.directions
    torch.testing.assert_close(directions @ directions.T, torch.eye(len(directions)), atol=1e-5, rtol=0)
    coverage = torch.zeros(1, 2, len(NOUNS) + 1)
    coverage[0, 0, 0] = 1
    coverage[0, 1, 1] = 1
    attributes = torch.zeros(1, 2, N_ATTRIBUTES)
    attributes[0, 1] = torch.arange(N_ATTRIBUTES) / 4 - 1
    ideal = run.nouns.ideal(coverage, attributes, embeddings)
    words = []
    for noun in NOUNS:
        shares = word_shares(noun, LEXICON.groups)
        words.append(sum(w * embeddings[run.processor.encode_plain(f" {word}")].mean(0) for word, w in shares.items()))
    pad = embeddings[run.processor.image_token_id]
    flat = [word - sum((word @ one) * one for one in directions) for word in (pad, *words)]
    common = torch.stack(flat[1:]).mean(0)
    own, background = flat[1] - common, flat[0] - common
    torch.testing.assert_close(ideal[0, 0], 3 * background / background.norm())
    marks = sum(2 * value * one for value, one in zip(attributes[0, 1], directions, strict=False))
    torch.testing.assert_close(ideal[0, 1], 3 * own / own.norm() + 1.5 * common / common.norm() + marks)
    assert run.nouns.classify(ideal, embeddings)[0].argmax(-1).tolist() == [0, 1]
    assert run.nouns.marks_loss(ideal, attributes).item() == pytest.approx(0, abs=1e-9)
    assert run.nouns.marks_loss(ideal, attributes + 0.5).item() == pytest.approx(0.25)


def test_hidden_states_say_where_objects_are_as_features_do(make: Make, tmp_path: Path) -> None:
    """Place (x, y) along the directions of the offsets, at twice its value: the error is that of a loop over cells."""
    nouns = make(tmp_path).nouns
    hidden, places = torch.randn(2, 3, WIDTH), torch.rand(2, 3, N_PLACE)
    errors = [
        (float(hidden[image, cell] @ nouns.directions[axis]) / 2 - float(places[image, cell, axis])) ** 2
        for image in range(2)
        for cell in range(3)
        for axis in range(2)
    ]
    assert nouns.marks_loss(hidden, places).item() == pytest.approx(sum(errors) / 12, rel=1e-5)
    exact = 2 * (places[..., :1] * nouns.directions[0] + places[..., 1:] * nouns.directions[1])
    assert nouns.marks_loss(exact, places).item() == pytest.approx(0, abs=1e-9)
    assert nouns.marks_loss(exact + nouns.directions[2], places).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "synonyms", "grouped"),
    [
        ("apple", (), ("fruit", "fruits", "food", "foods", "eat")),
        ("taxi", ("cab", "cabs"), ("vehicle", "vehicles", "drive", "wheels")),
        ("tomato", (), ("food", "foods", "eat")),
        ("bee", ("honeybee", "honeybees", "bumblebee", "bumblebees"), ("animal", "animals")),
        ("guitar", ("electric guitar", "electric guitars"), ()),
    ],
)
def test_the_words_of_a_noun_and_their_shares(name: str, synonyms: tuple[str, ...], grouped: tuple[str, ...]) -> None:
    """Whole names; of groups only telling words, and no group of which the noun is a doubtful member."""
    expected = dict.fromkeys((name, NOUN[name].plural), 1.0)
    expected |= dict.fromkeys(synonyms, 0.7) | dict.fromkeys(grouped, 0.6)
    assert word_shares(NOUN[name], LEXICON.groups) == expected


def test_every_group_has_a_word_that_tells() -> None:
    for group in Lexicon.of(taught_nouns()).groups:
        assert any(set(word_shares(noun, [group])) > set(word_shares(noun, [])) for noun in group.nouns), group.name

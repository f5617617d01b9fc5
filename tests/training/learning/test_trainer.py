"""The real trainer, a few steps at a time: it learns, it writes what it should, it resumes exactly."""

import json
import math
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
import torch
from safetensors.torch import load_file

from stamp.files import StorageError
from stamp.predictor import StampPredictor
from stamp.training.learning.batch import Batch, Rows
from stamp.training.learning.cells import N_ATTRIBUTES, N_PLACE
from stamp.training.learning.config import Stage, TrainingConfig
from stamp.training.learning.data import BatchPlan
from stamp.training.learning.objectives import word_shares
from stamp.training.learning.optimizer import Optimizers
from stamp.training.learning.processes import TrainingProcesses
from stamp.training.learning.stopping import stop_on_signals
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.photographs import PhotoLibrary, read_photographs
from stamp.training.scenes.vocabulary import taught_nouns
from tests.disks import TOO_LARGE, full_after
from tests.narrow import WIDTH
from tests.training.conftest import LEXICON, NOUN, NOUNS, STYLES
from tests.training.photographs import write_coco

ROOT = Path(__file__).parents[3]
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


@pytest.mark.parametrize("stop_after", [1, 4])
def test_resuming_after_a_kill_gives_the_very_same_weights(
    make: Make, finished: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    """Killed at the border of two stages and inside the last one, right behind a save."""
    steps = 0
    original = Trainer.train_step

    def dying_step(self: Trainer, *arguments: object) -> dict[str, float]:
        nonlocal steps
        if steps == stop_after:
            self.save()
            raise RuntimeError("killed")
        steps += 1
        return original(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", dying_step)
        with pytest.raises(RuntimeError, match="killed"):
            make(tmp_path).run()
    again = make(tmp_path)
    assert again.resume()
    again.run()
    for name, value in finished.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from stamp import files
from stamp.training.learning.trainer import Trainer
from tests.training.learning import test_trainer as tests

art, narrow, out = pickle.load(sys.stdin.buffer)
moved, replace = [], os.replace

def killing_replace(part, path):
    if moved[-2:-1] == ["state.pt"] and moved.count("state.pt") == 2:  # of the second save, and one file of `model/`
        os.kill(os.getpid(), signal.SIGKILL)
    moved.append(Path(path).name)
    replace(part, path)

os.replace = killing_replace
Trainer(tests.CONFIG, art, out, tests.torch.device("cpu"), init_from=narrow, workers=0).run()
"""


def test_a_kill_in_the_middle_of_a_save_loses_nothing(
    make: Make, library: ArtLibrary, narrow: Path, finished: Trainer, tmp_path: Path
) -> None:
    """A real one, which runs no `finally`, between two files of a checkpoint; a line of the log is torn besides."""
    given = pickle.dumps((library, narrow, tmp_path))
    done = subprocess.run([sys.executable, "-c", KILLED], input=given, cwd=ROOT, capture_output=True, timeout=1800)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (tmp_path / "model.part").exists()
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"stage": "vis')
    again = make(tmp_path)
    assert again.resume()
    assert (again.progress.stage, again.progress.step) == (1, 2)
    again.run()
    for name, value in finished.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in finished.out.iterdir()}
    for path in (finished.out / "model").iterdir():
        assert (tmp_path / "model" / path.name).read_bytes() == path.read_bytes(), path.name
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 1, 2, 1, 2, 3]


def test_a_full_disk_is_a_sentence_and_keeps_the_last_save(make: Make, finished: Trainer, tmp_path: Path) -> None:
    run = make(tmp_path)
    run.run()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with full_after(20_000), pytest.raises(StorageError, match=rf"{tmp_path.name} {TOO_LARGE}"):
        run.save()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


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


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield stop_on_signals()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("signals", "saved"),
    [
        ([signal.SIGINT], (2, 1)),  # after the step in progress
        ([signal.SIGTERM], (2, 1)),
        ([signal.SIGINT, signal.SIGTERM], (1, 2)),  # at once: the save behind the stage before it stays
    ],
)
def test_a_signal_leaves_no_half_step(
    make: Make,
    finished: Trainer,
    tmp_path: Path,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    signals: list[signal.Signals],
    saved: tuple[int, int],
) -> None:
    """It comes in the first step of the last stage, when one of two optimizers has moved its weights."""
    run = make(tmp_path)
    run.processes = TrainingProcesses(stop=stop)
    original = torch.optim.Muon.step

    def interrupted(self: torch.optim.Muon) -> None:
        original(self)
        if run.progress.stage == 2:
            for number in signals:
                signal.raise_signal(number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch.optim.Muon, "step", interrupted)
        run.run()
    again = make(tmp_path)
    assert again.resume()
    assert (again.progress.stage, again.progress.step) == saved
    again.run()
    for name, value in finished.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


def test_nothing_to_resume(make: Make, tmp_path: Path) -> None:
    assert not make(tmp_path).resume()


def test_another_configuration_does_not_continue_a_run(make: Make, finished: Trainer) -> None:
    with pytest.raises(ValueError, match="another configuration"):
        make(finished.out, replace(CONFIG, seed=1)).resume()
    longer = replace(CONFIG, stages=(WORDS, VISION, replace(JOINT, steps=5)))
    assert make(finished.out, longer).resume()


def test_other_photographs_and_other_weights_do_not_continue_a_run(
    make: Make, finished: Trainer, narrow: Path, tmp_path: Path
) -> None:
    """What tells them apart is not where they lie; a state of an earlier version does not say, and is accepted."""
    config = TrainingConfig((WORDS,), precision="float32")
    photos = [PhotoLibrary(read_photographs(write_coco(tmp_path / name), NOUNS)) for name in ("a", "b")]
    fewer = PhotoLibrary(photos[0].photographs[1:])
    run = make(tmp_path / "run", config)
    run.photographs = photos[0]
    run.run()
    start = shutil.copytree(narrow, tmp_path / "moved")
    (start / "training.json").write_text((finished.out / "training.json").read_text())

    def again(photographs: PhotoLibrary | None, init_from: Path) -> Trainer:
        trainer = make(run.out, config, init_from)
        trainer.photographs = photographs
        return trainer

    assert again(photos[1], narrow).resume()
    for photographs, init_from, others in (
        (fewer, narrow, "other photographs"),
        (None, narrow, "other photographs"),
        (photos[1], start, "other weights to start from"),
        (None, start, "other photographs and other weights to start from"),
    ):
        with pytest.raises(ValueError, match=rf"belongs to a run with {others}; give that run's options"):
            again(photographs, init_from).resume()
    alone = again(photos[1], narrow)
    alone.processes = TrainingProcesses(0, 2)
    with pytest.raises(ValueError, match="another number of processes"):
        alone.resume()
    state = torch.load(run.out / "state.pt", weights_only=True)
    torch.save(
        {name: value for name, value in state.items() if name not in ("start", "photographs")}, run.out / "state.pt"
    )
    assert again(None, start).resume()


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

"""Vision towers compared: the same pictures for all, IoU across grids by hand, and what a teacher adds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stamp.model.processing_stamp import StampProcessor
from stamp.training.card.eyes_study import (
    EYES,
    EyesPlan,
    EyesTrainer,
    Pictures,
    eyes_table,
    noun_iou,
    renormalized,
    run_eyes,
    write_eyes,
)
from stamp.training.learning.data import BatchMaker
from stamp.training.learning.nano import image_processor
from stamp.training.learning.processes import TrainingProcesses
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.photographs import PHOTOGRAPH, Marked, Photograph, PhotoLibrary
from stamp.training.scenes.scenes import Scene, describe
from tests.narrow import narrow_model
from tests.training.conftest import LEXICON, NOUN, STYLES

TWO = {name: EYES[name] for name in ("patches", "patches, taught")}


def circle() -> np.ndarray:
    y, x = np.mgrid[:90, :120]
    return np.asarray((x - 60) ** 2 + (y - 45) ** 2 < 900)


@pytest.fixture
def pictures(library: ArtLibrary, tmp_path: Path) -> Pictures:
    Image.new("RGB", (120, 90), "red").save(tmp_path / "apple.png")
    photo = Photograph(tmp_path / "apple.png", (Marked(NOUN["apple"], circle),), frozenset(), 1.0)
    return Pictures(library, PhotoLibrary([photo]), library, [photo, photo])


@pytest.fixture
def plan(narrow: Path, monkeypatch: pytest.MonkeyPatch) -> EyesPlan:
    monkeypatch.setattr(
        "stamp.training.learning.trainer.build_model", lambda processor, seed, stem: narrow_model(processor, seed)
    )
    small = {name: replace(eyes, grid=6) for name, eyes in TWO.items()}
    return EyesPlan(narrow, narrow, STYLES, steps=1, images=2, pictures=2, eyes=small)


def test_all_eyes_learn_from_and_look_at_the_same_and_only_once(
    plan: EyesPlan, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = run_eyes(plan, pictures, tmp_path / "runs", TrainingProcesses())
    assert [row["eyes"] for row in rows] == ["patches"] * 4 + ["patches, taught"] * 4
    assert [row["source"] for row in rows[:4]] == ["photographs"] * 2 + ["drawings"] * 2
    assert [row["seed"] for row in rows[:4]] == [row["seed"] for row in rows[4:]]
    logs = [json.loads((tmp_path / "runs" / name / "log.jsonl").read_text()) for name in ("patches", "patches-taught")]
    assert ("taught" in logs[0], "taught" in logs[1]) == (False, True)
    assert logs[0]["dense"] == pytest.approx(logs[1]["dense"])  # before the first step: the same pictures
    with monkeypatch.context() as patch:
        patch.setattr("stamp.training.card.eyes_study.EyesTrainer", None)  # nothing is trained again
        assert run_eyes(plan, pictures, tmp_path / "runs", TrainingProcesses()) == rows
    table = write_eyes(rows, {"steps": 1}, tmp_path)
    record = json.loads((tmp_path / "eyes.json").read_text())
    drawings = record["scores"]["patches"]["drawings"]
    assert (drawings["mean"], drawings["n"]) == (pytest.approx((rows[2]["iou"] + rows[3]["iou"]) / 2), 2)
    assert table == eyes_table(record)


def test_a_pupil_that_sees_like_its_teacher_has_only_the_teacher_s_doubts(
    plan: EyesPlan, pictures: Pictures, tmp_path: Path
) -> None:
    eyes, folder = plan.eyes["patches, taught"], plan.start
    trainer = EyesTrainer(
        plan.config(eyes),
        pictures.art,
        tmp_path,
        torch.device("cpu"),
        text_from=folder,
        vision_from=folder,
        photographs=pictures.photos,
        eyes=eyes,
        teacher_from=folder,
    )
    batch = BatchMaker(trainer.config.stages[0].plan, trainer.processor, pictures.art, 1)[0]
    with torch.no_grad():
        taught = trainer.losses(trainer.config.stages[0], batch)[0]["taught"]
        assert batch.pixel_values is not None
        features = torch.stack(trainer.model.encode_images(batch.pixel_values, batch.grid_thw))
        logits = trainer.nouns.classify(features, trainer.model.get_input_embeddings().get_parameter("weight"))
    doubts = torch.distributions.Categorical(logits=logits).entropy().mean()
    assert float(taught) == pytest.approx(float(doubts), rel=1e-4)


def test_pixels_for_the_teacher_are_those_of_its_own_processor(processor: StampProcessor) -> None:
    stem, clip = image_processor(None), image_processor(None)
    clip.image_mean, clip.image_std = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8))
    ours, theirs = (StampProcessor(processor.tokenizer, images).encode_image(picture)[0] for images in (stem, clip))
    assert not torch.allclose(ours, theirs)
    torch.testing.assert_close(renormalized(ours, stem, clip), theirs, atol=1e-5, rtol=0)


def test_the_cells_of_a_noun_are_compared_with_its_pixels() -> None:
    """Two apples in the left half, a cat in the right lower quarter, on a grid of 2 x 2."""
    labels = np.zeros((32, 32), np.uint8)
    labels[:16, :16], labels[16:, :16], labels[16:, 24:] = 1, 2, 3
    shown = [describe(labels, k, NOUN[name], PHOTOGRAPH) for k, name in ((1, "apple"), (2, "apple"), (3, "cat"))]
    scene = Scene(np.zeros((32, 32, 3), np.uint8), labels, tuple(shown), PHOTOGRAPH, 0)
    apple, cat = (LEXICON.numbers[NOUN[name]] for name in ("apple", "cat"))
    assert noun_iou(scene, np.array([apple, 0, apple, cat]), LEXICON) == pytest.approx((1 + 1 / 2) / 2)
    assert noun_iou(scene, np.array([apple, 0, 0, 0]), LEXICON) == pytest.approx((1 / 2 + 0) / 2)

"""`python -m benchmarks by-heart`: it asks what was trained, and scores against the objects. No skill is tested."""

import json
from pathlib import Path

import pytest

from benchmarks.budget import SWEEP_FILE
from benchmarks.checkpoints import CHECKPOINTS
from benchmarks.studies.by_heart import (
    RECORD_FILE,
    ROWS_FILE,
    ByHeartConfig,
    by_heart_table,
    maker_of,
    run_by_heart,
    samples_of,
    score,
)
from benchmarks.training import train as training
from benchmarks.training.train import Means
from stamp.pictures.images import load_image
from stamp.training.scenes.art import ArtLibrary
from tests.benchmarks.training.test_training import CPU, backbone, trainer_of
from tests.training.conftest import STYLES, library

__all__ = ["backbone", "library"]


@pytest.fixture
def config(backbone: Path, tmp_path: Path) -> ByHeartConfig:
    for method in ("stamp", "polygon"):
        folder = tmp_path / "trained" / CHECKPOINTS[method]
        folder.mkdir(parents=True)
        (folder / SWEEP_FILE).write_text(json.dumps({"rows": [{"rate": 1e-3, "score": 1.0}]}))
    return ByHeartConfig(
        ("stamp", "polygon"), backbone, tmp_path / "trained", pictures=4, steps=3, batch=2, grid=6, styles=STYLES
    )


def test_the_requests_are_those_of_the_rows(library: ArtLibrary, config: ByHeartConfig, tmp_path: Path) -> None:
    maker = maker_of(trainer_of(library, config.backbone, "stamp_shared", tmp_path / "run"), config)
    assert len(maker) == 2
    for number in range(2):
        batch, scenes = maker[number], maker.scenes(number)
        samples = list(samples_of(maker, number, tmp_path))
        assert batch.mask_rows is not None
        for sample, scene, ids in zip(samples, scenes, batch.mask_rows.input_ids, strict=True):
            text = maker.processor.tokenizer.decode(ids)
            assert text.count("<|im_start|>user") == 1
            assert f"<|vision_end|>{sample.prompt}<|im_end|>" in text
            assert (sample.truth().mask.shape, str(scene.seed)) == (scene.labels.shape, sample.id)
            assert load_image(sample.image).tobytes() == scene.image.tobytes()
        rows = batch.mask_rows
        assert rows.target is not None
        assert rows.seg_index is not None
        masks = iter(rows.target)
        for sample, segs in zip(samples, rows.seg_index, strict=True):
            covered = sum(float(next(masks).sum()) for _ in range(int((segs >= 0).sum())))
            pixels_a_cell = sample.truth().mask.size / rows.target.shape[1]
            assert sample.truth().mask.sum() / pixels_a_cell == pytest.approx(covered, rel=1e-4)


def test_files_and_table(
    library: ArtLibrary, config: ByHeartConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "MAX_NEW_TOKENS", 8)
    out = tmp_path / "out"
    record = run_by_heart(config, Means(library, None, CPU, workers=0), out)
    rows = [json.loads(line) for line in (out / ROWS_FILE).read_text().splitlines()]
    assert json.loads((out / RECORD_FILE).read_text()) == json.loads(json.dumps(record))
    assert [row["method"] for row in rows] == ["stamp"] * 4 + ["polygon"] * 4
    assert len({row["sample"] for row in rows}) == 4
    assert all(0 <= row["iou"] <= 1 and 0.3 < row["form"] <= 1 for row in rows)
    assert record["scores"]["polygon"] == score(rows[4:])
    assert record["scores"]["polygon"]["iou"]["value"] == pytest.approx(sum(row["iou"] for row in rows[4:]) / 4)
    lines = by_heart_table(record).splitlines()
    assert lines[2].startswith("| stamp | ")
    assert lines[-1].startswith("4 pictures, 3 steps of 2, from ")


@pytest.mark.parametrize(("sizes", "message"), [((9, 1), "multiple of 8"), ((8, 0), "steps must be")])
def test_bad_input(sizes: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ByHeartConfig(("stamp",), Path(), Path(), *sizes)

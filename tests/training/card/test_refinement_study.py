"""The comparison of refiners: which rows it makes, and that its scores follow from them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stamp.conversation import Segmentation
from stamp.pictures.masks import coverage_grid
from stamp.predictor import StampPredictor
from stamp.training.card.evaluate import Row
from stamp.training.card.refinement_study import study, study_scene, study_scores, write_study
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.scenes import VALIDATION_SEEDS, SceneConfig, compose_scene
from tests.training.conftest import LEXICON, STYLES

KINDS = [
    f"{source} {refiner}" for source in ("oracle", "model") for refiner in ("nearest", "bicubic", "guided", "grabcut")
]


@pytest.fixture(scope="module")
def predictor() -> StampPredictor:
    return StampPredictor.from_pretrained(device="cpu")


def test_rows_of_a_scene(library: ArtLibrary, predictor: StampPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = compose_scene(VALIDATION_SEEDS.start, library, SceneConfig(STYLES))
    image = predictor.encode_image(Image.fromarray(scene.image))
    answered = predictor.segment(image, "segment the cat")
    sure = replace(answered, mask_logits=[np.full((2, 2), 5.0, np.float32)], response="Sure <|seg|>")
    monkeypatch.setattr(StampPredictor, "segment", lambda *_: sure)
    rows = list(study_scene(predictor, scene, LEXICON))
    assert [row.kind for row in rows] == KINDS
    nouns = {form: item.noun for item in scene.objects for form in (item.noun.name, item.noun.plural)}
    truth = np.isin(scene.labels, [item.mask_id for item in scene.objects if item.noun == nouns[rows[0].expected]])
    rows_of_cells, columns_of_cells = (np.arange(384) * cells // 384 for cells in image.grid_hw)
    cells = (coverage_grid(truth, image.grid_hw) > 0.5)[rows_of_cells][:, columns_of_cells]
    assert rows[0].score == pytest.approx((cells & truth).sum() / (cells | truth).sum())
    assert [row.score for row in rows[4:]] == pytest.approx([truth.mean()] * 4)
    assert {(row.seed, row.question) for row in rows} == {(scene.seed, f"segment the {rows[0].expected}")}
    assert [row.answer for row in rows] == [""] * 4 + ["Sure <|seg|>"] * 4


@pytest.mark.parametrize("n_masks", [0, 2])
def test_an_answer_without_exactly_one_mask_scores_zero(
    n_masks: int, library: ArtLibrary, predictor: StampPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = StampPredictor.segment

    def without(self: StampPredictor, *arguments: object) -> Segmentation:
        result = segment(self, *arguments)  # type: ignore[arg-type]
        return replace(result, mask_logits=[np.ones((2, 2), np.float32)] * n_masks)

    monkeypatch.setattr(StampPredictor, "segment", without)
    rows = study(predictor, library, n_scenes=1)
    assert min(row.score for row in rows[:4]) > 0.5
    assert [row.score for row in rows[4:]] == [0.0] * 4


def test_scores_follow_from_the_written_rows(tmp_path: Path) -> None:
    rows = [
        Row(seed, "panorama", kind, "segment the cat", "cat", "", 0.5 + 0.05 * seed + 0.1 * step * (seed + 1))
        for seed in range(2)
        for step, kind in enumerate(KINDS[:4])
    ]
    table = write_study(rows, {"n_scenes": 2}, tmp_path)
    read = [Row(**json.loads(line)) for line in (tmp_path / "refinement.jsonl").read_text().splitlines()]
    assert read == rows
    summary = json.loads((tmp_path / "refinement.json").read_text())
    assert summary["scores"] == study_scores(read)
    assert summary["provenance"].keys() == {
        *("n_scenes", "coverage_eps", "guided_eps", "grabcut_sure_logit", "kornia", "opencv-python-headless"),
    }
    difference = summary["scores"]["oracle guided - bicubic"]  # 0.1 and 0.2
    assert difference == {"mean": pytest.approx(0.15), "low": pytest.approx(0.1), "high": pytest.approx(0.2), "n": 2}
    assert table.splitlines()[-2] == "| oracle guided - bicubic | 0.150 | 0.100 to 0.200 | 2 |"
    assert summary["scores"]["oracle grabcut - bicubic"]["mean"] == pytest.approx(0.3)

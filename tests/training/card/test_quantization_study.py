"""Which quantization "auto" takes: from scores to the record to the loader."""

import json
import shutil
from pathlib import Path

import pytest

from stamp.checkpoints.quantization import AUTO_FILE, choose_quantization
from stamp.predictor import StampPredictor
from stamp.training.card.evaluate import Row, evaluate
from stamp.training.card.quantization_study import best_mode, study, write_study
from stamp.training.scenes.art import ArtLibrary

MODEL = Path(__file__).parents[2] / "parity" / "models" / "tied"


def scores(**means: float) -> dict[str, dict[str, dict[str, float]]]:
    return {mode: {"segment": {"mean": mean}} for mode, mean in means.items()}


@pytest.mark.parametrize(
    ("means", "best"),
    [
        ({"none": 0.70, "int8": 0.695, "nf4": 0.691}, "nf4"),
        ({"none": 0.70, "int8": 0.695, "nf4": 0.689}, "int8"),
        ({"none": 0.70, "int8": 0.68, "nf4": 0.65}, "none"),
        ({"none": 0.70, "int8": 0.71, "nf4": 0.60}, "int8"),
    ],
)
def test_the_smallest_mode_that_loses_less_than_a_point(means: dict[str, float], best: str) -> None:
    assert best_mode(scores(**means)) == best


def test_the_record_decides_what_auto_is(tmp_path: Path) -> None:
    write_study(scores(none=0.70, int8=0.695, nf4=0.60), {"n_scenes": 1}, tmp_path)
    assert choose_quantization("auto", None, tmp_path, parameters=10) == "int8"
    assert choose_quantization("nf4", None, tmp_path, parameters=10) == "nf4"
    (tmp_path / AUTO_FILE).unlink()
    assert choose_quantization("auto", None, tmp_path, parameters=10) == "none"
    assert choose_quantization("auto", None, tmp_path, parameters=2 * 10**9) == "nf4"


def test_each_mode_is_measured_on_the_same_scenes(library: ArtLibrary, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder)
    rows: dict[str, list[Row]] = {}

    def load(mode: str) -> StampPredictor:
        return StampPredictor.from_pretrained(
            folder, device="cpu", dtype="bfloat16", quantization=mode, max_pixels=9000
        )

    def run(predictor: StampPredictor) -> list[Row]:
        rows[predictor.quantization] = evaluate(predictor, library, 1)
        return rows[predictor.quantization]

    by_mode = study(load, run)
    asked = [[(row.seed, row.kind, row.question) for row in some] for some in rows.values()]
    assert set(rows) == {"none", "int8", "nf4"}
    assert asked[0] == asked[1] == asked[2]
    table = write_study(by_mode, {"n_scenes": 1}, folder)
    record = json.loads((folder / AUTO_FILE).read_text())
    assert record["scores"] == by_mode
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == ["| bfloat16", "| int8", "| nf4"]

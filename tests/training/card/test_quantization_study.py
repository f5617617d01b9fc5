"""What quantization costs: the same questions in each mode, and the time of an answer."""

import json
import shutil
from pathlib import Path

import pytest

from stamp.predictor import StampPredictor
from stamp.training.card.evaluate import Row, evaluate
from stamp.training.card.quantization_study import MODES, RECORD_FILE, processor_seconds, study, write_study
from stamp.training.scenes.art import ArtLibrary

MODEL = Path(__file__).parents[2] / "parity" / "models" / "tied"


def test_each_mode_is_measured_on_the_same_scenes(library: ArtLibrary, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder)
    rows: dict[str, list[Row]] = {}
    loaded = {
        mode: StampPredictor.from_pretrained(folder, device="cpu", quantization=mode, max_pixels=9000) for mode in MODES
    }

    def run(predictor: StampPredictor) -> list[Row]:
        rows[predictor.quantization] = evaluate(predictor, library, 1)
        return rows[predictor.quantization]

    by_mode = study(loaded, run)
    asked = [[(row.seed, row.kind, row.question) for row in some] for some in rows.values()]
    assert set(rows) == {"none", "int8", "nf4"}
    assert asked[0] == asked[1] == asked[2]
    table = write_study(by_mode, {"none": 0.2, "int8": 0.3, "nf4": 0.25}, {"n_scenes": 1}, folder)
    record = json.loads((folder / RECORD_FILE).read_text())
    assert record["scores"] == by_mode
    cells = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert [(row[0], row[-1]) for row in cells] == [("none", "1.00"), ("int8", "1.50"), ("nf4", "1.25")]


def test_times_are_medians_of_modes_that_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = [0.0], []
    monkeypatch.setattr("stamp.training.card.quantization_study.ROUNDS", 3)
    monkeypatch.setattr("stamp.training.card.quantization_study.time.process_time", lambda: now[0])
    costs = {"a": iter((9.0, 1.0, 2.0)), "b": iter((5.0, 5.0, 7.0))}

    def answer(mode: str) -> None:
        order.append(mode)
        now[0] += next(costs[mode])

    assert processor_seconds({"a": lambda: answer("a"), "b": lambda: answer("b")}) == {"a": 2.0, "b": 5.0}
    assert order == ["a", "b"] * 3

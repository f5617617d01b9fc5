"""The model card: every figure in it comes from the run's and the evaluation's files."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from stamp.sources import EMBEDDED_CHECKPOINT
from stamp.training.card import final_log, score_table, write_card
from stamp.training.evaluate import Row, scores
from stamp.training.recipes import nano_recipe
from stamp.training.vocabulary import VOCABULARY_FILE


def test_a_resumed_run_counts_each_step_once() -> None:
    lines = [{"stage": "a", "step": 20, "iou": 0.1}, {"stage": "a", "step": 40, "iou": 0.2}]
    lines += [{"stage": "a", "step": 40, "iou": 0.3}, {"stage": "b", "step": 20, "iou": 0.4}]
    log = final_log("\n".join(json.dumps(line) for line in lines))
    assert [(row["stage"], row["step"], row["iou"]) for row in log] == [("a", 20, 0.1), ("a", 40, 0.3), ("b", 20, 0.4)]


def test_score_table() -> None:
    table = score_table({"count": {"mean": 0.81234, "low": 0.7, "high": 0.9, "n": 50}})
    assert table.splitlines()[-1] == '| "how many ... ?" answered right | 0.812 | 0.700 - 0.900 | 50 |'


def test_the_card_shows_what_was_measured(tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    run.mkdir()
    model.mkdir()
    config = json.loads(json.dumps(asdict(nano_recipe())))
    training = {"config": config, "hardware": "2 cores", "progress": {"stage": 0, "step": 5, "seconds": 600.0}}
    (run / "training.json").write_text(json.dumps(training))
    row = {"stage": config["stages"][0]["name"], "step": 20, "seconds": 60.0, "iou": 0.25}
    (run / "log.jsonl").write_text(json.dumps(row) + "\n")
    provenance = {"n_scenes": 7, "first_seed": 10**9, "dtype": "float32", "device": "cpu", "date": "2026-01-02"}
    evaluation = {"provenance": provenance | {"commit": "abc1234"}, "scores": {}}
    (model / "evaluation.json").write_text(json.dumps(evaluation))
    write_card(run, model, "It stopped early.")
    card = (model / "README.md").read_text()
    for text in ("7 unseen scenes", "2026-01-02", "abc1234", "10 minutes", "2 cores", "It stopped early.", "| 0.25 |"):
        assert text in card, text
    assert "](curves.svg)" in card and (model / "curves.svg").is_file()
    with VOCABULARY_FILE.open(newline="") as file:
        taught = [row["name"] for row in csv.DictReader(file) if row["taught"] == "yes"]
    assert json.loads((model / "nouns.json").read_text()) == taught
    assert f"It segments {len(taught)} nouns" in card and f"Nouns: {', '.join(taught)}." in card


def test_the_committed_scores_follow_from_the_committed_rows() -> None:
    rows = [Row(**json.loads(line)) for line in (EMBEDDED_CHECKPOINT / "evaluation.jsonl").read_text().splitlines()]
    committed = json.loads((EMBEDDED_CHECKPOINT / "evaluation.json").read_text())["scores"]
    recomputed = scores(rows)
    assert recomputed.keys() == committed.keys()
    for kind, values in committed.items():
        assert recomputed[kind] == pytest.approx(values)
    assert score_table(committed) in (EMBEDDED_CHECKPOINT / "README.md").read_text()


def test_the_committed_checkpoint_is_small_and_safe() -> None:
    files = [path for path in EMBEDDED_CHECKPOINT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20_000_000
    assert all(path.stat().st_size <= 10_000_000 for path in files)
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pth", ".pkl", ".py"}]

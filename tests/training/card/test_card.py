"""The model card: every figure in it comes from the run's and the evaluation's files."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT, PHOTO_FIGURES_FILE
from stamp.training.card.card import FIGURES_FILE, write_card
from stamp.training.card.sections import CUTOUTS_FILE, REFUSALS_FILE, figure_table
from stamp.training.card.training_record import earlier_minutes, final_log, stage_table
from stamp.training.learning.recipes import nano_recipe


def test_a_resumed_run_counts_each_step_once() -> None:
    lines = [{"stage": "a", "step": 20, "iou": 0.1}, {"stage": "a", "step": 40, "iou": 0.2}]
    lines += [{"stage": "a", "step": 40, "iou": 0.3}, {"stage": "b", "step": 20, "iou": 0.4}]
    log = final_log("\n".join(json.dumps(line) for line in lines))
    assert [(row["stage"], row["step"], row["iou"]) for row in log] == [("a", 20, 0.1), ("a", 40, 0.3), ("b", 20, 0.4)]


def score(value: float, n: int) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": n}


def report() -> dict[str, Any]:
    """A report of `python -m benchmarks run` with two splits, as far as the card reads it."""

    def row(split: str, iou: float) -> dict[str, Any]:
        cost = {"n": 9, "median_s": 0.1234, "p90_s": 0.2, "median_tokens": 14.0}
        kinds: dict[str, Any] = {"segment": {"scores": {"target gIoU": score(iou, 9), "dialogue": None}, "cost": cost}}
        if split == "known":
            kinds["count"] = {"scores": {"dialogue": score(0.6, 5)}}
        scores = {"target gIoU": score(iou / 2, 20), "N-acc": score(0.75, 4), "dialogue": score(0.5, 30)}
        return {
            "split": split, "method": "stamp", "precision": "float32", "requests_for_masks": 24, "questions": 30,
            "scores": scores, "kinds": kinds,
        }  # fmt: skip

    session = {"date": "2026-01-02", "commit": "abc1234", "uncommitted_changes": False}
    run = {"methods": {"stamp": {"hardware": "2 small cores"}}, "sessions": [session]}
    return {"run": run, "rows": [row("known", 0.8), row("style", 0.6)]}


def test_the_table_of_figures() -> None:
    table = figure_table(report()).splitlines()
    assert table[:2] == ["| | known | style |", "|---|---|---|"]
    lines = {line.split(" | ")[0]: line for line in table[2:]}
    name = '| by name: "segment the apple"'
    assert lines[name] == f"{name} | 0.800 [0.700, 0.900], n 9 | 0.600 [0.500, 0.700], n 9 |"
    assert lines["| **not there: no mask**"].count("0.750 [0.650, 0.850], n 4") == 2
    assert lines["| how many"] == "| how many | 0.600 [0.500, 0.700], n 5 |  |"
    assert lines["| by colour"] == "| by colour |  |  |"


def test_the_card_shows_what_was_measured(tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    run.mkdir()
    model.mkdir()
    config = json.loads(json.dumps(asdict(nano_recipe())))
    training = {"config": config, "hardware": "2 cores", "progress": {"stage": 0, "step": 5, "seconds": 600.0}}
    (run / "training.json").write_text(json.dumps(training))
    row = {"stage": config["stages"][0]["name"], "step": 20, "seconds": 60.0, "iou": 0.25}
    (run / "log.jsonl").write_text(json.dumps(row) + "\n")
    (model / FIGURES_FILE).write_text(json.dumps(report()))
    counts = {"unseen": 100, "unseen declined": 98, "known": 200, "known declined": 3}
    (model / REFUSALS_FILE).write_text(json.dumps(counts | {"accepted": [{"word": "harp", "answer": "No harp."}]}))
    save_file({"a": torch.zeros(300, 4000)}, model / "model.safetensors")
    (model / "config.json").write_text('{"vision_stem": "efficientnet-lite0"}')
    (model / "nouns.json").write_text('{"apple": {"noto": 1}, "bee": {"photographs": 2}}')
    write_card(run, model, "It stopped early.")
    card = (model / "README.md").read_text()
    for text in ("All 108 requests", "2026-01-02 at commit abc1234;", "10 minutes", "2 cores", "2 small cores"):
        assert text in card, text
    for text in (
        "1.2 M parameters",
        "Nouns, from photographs too in bold: apple, **bee**.",
        "It knows 1 of them from photographs too (0 from 10 or more)",
    ):
        assert text in card, text
    for text in ("It stopped early.", "| 0.25 |", "123 ms in the median, 200 ms at the 90th percentile (n 9)"):
        assert text in card, text
    for text in ("it says 98 times", '(The others: harp: "No harp.".)', "to 3 of 200", "(1.5%)"):
        assert text in card, text
    assert figure_table(report()) in card
    assert "](curves.svg)" in card
    assert (model / "curves.svg").is_file()
    assert "It segments 2 nouns" in card
    write_card(model, model)  # from the record beside the checkpoint
    assert (model / "README.md").read_text() == card


def test_the_committed_checkpoint_is_small_and_safe() -> None:
    files = [path for path in EMBEDDED_CHECKPOINT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20_000_000
    assert all(path.stat().st_size <= 10_000_000 for path in files)
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pth", ".pkl", ".py"}]


def test_photographs_have_a_section_of_their_own(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "nano")
    (tmp_path / "nano" / "nouns.json").write_text('{"apple": {"noto": 1}}')
    alone = {"value": 1.0, "low": None, "high": None, "n": 1}
    figures = report() | {
        "min_area_share": 0.03,
        "sources": {"street": {"target gIoU": score(0.3, 7), "P@0.5": score(0.2, 7)}, "zoo": {"P@0.5": alone}},
    }
    (tmp_path / "nano" / PHOTO_FIGURES_FILE).write_text(json.dumps(figures))
    training = json.loads((tmp_path / "nano" / "training.json").read_text())
    (tmp_path / "nano" / "training.json").write_text(json.dumps(training | {"photographs": {"example.org, CC0": 12}}))
    write_card(tmp_path / "nano", tmp_path / "nano")
    card = (tmp_path / "nano" / "README.md").read_text()
    assert "| street | 0.300 [0.200, 0.400], n 7 | 0.200 [0.100, 0.300], n 7 |" in card
    assert "| zoo |  | 1.000, n 1 |" in card
    assert "| **not there: no mask** | 0.750 [0.650, 0.850], n 4 |" in card
    assert "- example.org, CC0: 12" in card


def test_cutouts_have_a_table_by_kind(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "nano")
    (tmp_path / "nano" / CUTOUTS_FILE).write_text(json.dumps(report()))
    write_card(tmp_path / "nano", tmp_path / "nano")
    _, _, section = (tmp_path / "nano" / "README.md").read_text().partition("### Things cut out of them")
    assert section.startswith("\n\n108 requests and questions about things cut out of these photographs")
    assert figure_table(report()) in section


def test_runs_before_the_last_one_are_counted() -> None:
    stage = {"name": "eyes", "steps": 10, "plan": {"images": 16}}
    earlier = [{"config": {"stages": [stage]}, "processes": 2, "progress": {"seconds": 90.0}}]
    training = {"config": {"stages": [{"name": "masks", "steps": 7, "plan": {"images": 4}}]}, "earlier": earlier}
    table = stage_table(training, [{"stage": "masks", "step": 5, "cells": 0.5}]).splitlines()
    assert table[2:] == ["| eyes (an earlier run) | 10 | 32 | - | - |", "| masks | 5 | 4 | 0.50 | - |"]
    assert earlier_minutes(training) == ", after 2 minutes of earlier runs"
    assert earlier_minutes({}) == ""


def test_the_committed_card_is_that_of_the_committed_figures(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "nano")
    write_card(tmp_path / "nano", tmp_path / "nano")
    for path in (tmp_path / "nano").iterdir():
        assert path.suffix == ".svg" or path.read_bytes() == (EMBEDDED_CHECKPOINT / path.name).read_bytes(), path.name

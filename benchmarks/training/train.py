"""`python -m benchmarks train`: a short run per learning rate, a long run at the best rate, and a card.

Everything resumes after an interruption: finished rates are kept in sweep.json, an unfinished run in its own state.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks.budget import SWEEP_FILE, TRAINING_FILE
from benchmarks.checkpoints import MethodOptions
from benchmarks.methods import Method, load_methods
from benchmarks.scoring.intervals import bootstrap, mean
from benchmarks.training.card import FIGURES_FILE, ROWS_FILE, card
from benchmarks.training.objectives import OBJECTIVES
from benchmarks.training.recipe import CHOICE_SEEDS, TrainingPlan, choice_score, validation_losses
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.provenance import git, hardware_name
from stamp.files import write_atomically
from stamp.pictures.masks import intersection_over_union
from stamp.training.card.evaluate import noun_request, validation_scenes
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon


def train(plan: TrainingPlan, art: ArtLibrary, out: Path, device: torch.device, workers: int, scenes: int) -> str:
    """Sweep, train, measure masks on `scenes` scenes, write the card into `out/model`; returns the card.

    Raises ValueError if `out` holds a run of another plan.
    """
    rate = choose_rate(plan, art, out, device, workers)
    trainer = make_trainer(plan, rate, plan.steps, art, out, device, workers)
    if trainer.resume() and trainer.progress.step:
        print(f"continuing at step {trainer.progress.step} of {plan.steps}")
    trainer.run()
    model = out / "model"
    rows = segment_rows(load_trained(plan.method, model, device), art, scenes)
    write_atomically(model / ROWS_FILE, "".join(json.dumps(row) + "\n" for row in rows))
    figures = {
        "losses": validation_losses(trainer, plan.validation_batches),
        "segment": segment_figures(rows),
        "hardware": hardware_name(device),
        "commit": git("rev-parse", "--short", "HEAD"),
    }
    write_atomically(model / FIGURES_FILE, json.dumps(figures, indent=1) + "\n")
    for name in (SWEEP_FILE, TRAINING_FILE, "log.jsonl"):
        write_atomically(model / name, (out / name).read_text())
    text = card(model)
    write_atomically(model / "README.md", text)
    return text


def choose_rate(plan: TrainingPlan, art: ArtLibrary, out: Path, device: torch.device, workers: int) -> float:
    """The best of the plan's rates; finished rates are in `out/sweep.json` and are not run again."""
    out.mkdir(parents=True, exist_ok=True)
    sweep = _open_sweep(plan, out / SWEEP_FILE)
    done = {row["rate"] for row in sweep["rows"]}
    for rate in plan.rates:
        if rate in done:
            continue
        print(f"{plan.method}: {plan.sweep_steps} steps at rate {rate:g}")
        trainer = make_trainer(plan, rate, plan.sweep_steps, art, out / "sweep" / f"{rate:g}", device, workers)
        trainer.resume()
        trainer.run()
        losses = validation_losses(trainer, plan.validation_batches)
        sweep["rows"].append({"rate": rate, "score": choice_score(losses), "losses": losses})
        write_atomically(out / SWEEP_FILE, json.dumps(sweep, indent=1) + "\n")
    finished = [row for row in sweep["rows"] if row["rate"] in plan.rates and math.isfinite(row["score"])]
    if not finished:
        raise ValueError(f"no rate of {plan.rates} gave a finite loss; try smaller ones with --rates")
    best: float = min(finished, key=lambda row: row["score"])["rate"]
    return best


def _open_sweep(plan: TrainingPlan, path: Path) -> dict[str, Any]:
    about = {
        "method": plan.method,
        "backbone": plan.backbone.name if plan.backbone.is_absolute() else plan.backbone.as_posix(),
        "steps": plan.sweep_steps,
        "grid": plan.grid,
        "images": plan.images,
        "validation_scenes": plan.validation_batches * plan.images,
        "first_seed": CHOICE_SEEDS.start,
    }
    if not path.exists():
        return about | {"rows": []}
    sweep: dict[str, Any] = json.loads(path.read_text())
    if changed := [name for name, value in about.items() if sweep.get(name) != value]:
        raise ValueError(f"{path} is of another sweep ({', '.join(changed)} differ); choose another --out or delete it")
    return sweep


def make_trainer(
    plan: TrainingPlan, rate: float, steps: int, art: ArtLibrary, out: Path, device: torch.device, workers: int
) -> Trainer:
    """A trainer at the start."""
    config = plan.config(rate, steps)
    return Trainer(config, art, out, device, init_from=plan.backbone, workers=workers, masks=OBJECTIVES[plan.method])


def load_trained(name: str, model: Path, device: torch.device) -> Method:
    """The method, loaded from a folder of weights."""
    options = MethodOptions(LoadOptions(device=str(device)), checkpoints={name: str(model)})
    (method,) = load_methods([name], options)
    return method


def segment_rows(method: Method, art: ArtLibrary, n_scenes: int) -> list[dict[str, Any]]:
    """Answers to "segment the NOUN" on unseen scenes, at most one per scene; an unusable answer has IoU 0."""
    rows = []
    lexicon = Lexicon.of(art.nouns)
    for scene in tqdm(validation_scenes(art, n_scenes), total=n_scenes, desc="figures", unit="scene"):
        if (exchange := noun_request(scene, Random(scene.seed), lexicon)) is None:
            continue
        prediction = method.predict(Image.fromarray(scene.image), exchange.question)
        truth = np.isin(scene.labels, exchange.targets[0])
        iou = intersection_over_union(np.any(prediction.masks, axis=0), truth) if prediction.valid else 0.0
        about = {"seed": scene.seed, "question": exchange.question, "raw_output": prediction.raw_output}
        rows.append(about | {"new_tokens": prediction.new_tokens, "valid": prediction.valid, "iou": iou})
    return rows


def segment_figures(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean IoU of `segment_rows` with its interval, and the number of unusable answers."""
    ious = [row["iou"] for row in rows]
    found = bootstrap({"gIoU": mean(ious)}, [str(row["seed"]) for row in rows])["gIoU"]
    invalid = sum(not row["valid"] for row in rows)
    return {"gIoU": found.value, "low": found.low, "high": found.high, "n": len(rows), "invalid": invalid}

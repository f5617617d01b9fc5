"""`python -m benchmarks train`: a short run per learning rate, a long run at each method's best rate, and the cards.

All methods learn at once, from the same pictures. Everything resumes after an interruption: finished rates are kept in
each method's sweep.json, an unfinished run in its own state.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.budget import SWEEP_FILE, TRAINING_FILE
from benchmarks.checkpoints import MethodOptions
from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import Sample
from benchmarks.methods import Method, load_methods
from benchmarks.running.runner import choose_samples
from benchmarks.scoring.curves import CURVE_FILE
from benchmarks.training.card import FIGURES_FILE, card
from benchmarks.training.curve import add_point, measured, milestones
from benchmarks.training.objectives import OBJECTIVES
from benchmarks.training.onward import adopt_records
from benchmarks.training.recipe import CHOICE_SEEDS, TrainingPlan, best_rate, choice_score, validation_losses
from benchmarks.training.together import train_together
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.provenance import git, hardware_name
from stamp.files import write_atomically
from stamp.training.learning.processes import TrainingProcesses
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.photographs import PhotoLibrary

#: Samples of each split of the drawn scenes that a learning curve asks; both kinds, masks and questions.
CURVE_SAMPLES = 60
#: Long enough for any mask that a trained method writes; an untrained one may never end.
MAX_NEW_TOKENS = 256


@dataclass(frozen=True)
class Means:
    """What a training works with. workers: processes that compose scenes, for each of `processes`."""

    art: ArtLibrary
    photographs: PhotoLibrary | None
    device: torch.device
    workers: int = 1
    processes: TrainingProcesses = field(default_factory=TrainingProcesses)


def train(plan: TrainingPlan, means: Means, out: Path) -> dict[str, str]:
    """Sweep, train, measure the learning curves, and write the cards into `out/METHOD/model`; returns them.

    Raises ValueError if `out` holds a run of another plan.
    """
    rates = choose_rates(plan, means, out) if plan.onward is None else adopt_records(plan, out)
    trainers = {name: make_trainer(plan, name, rate, plan.steps, means, out / name) for name, rate in rates.items()}
    for trainer in trainers.values():
        if trainer.resume() and trainer.progress.step:
            print(f"{trainer.masks.name}: continuing at step {trainer.progress.step} of {plan.steps}")
    samples = curve_samples()
    points = milestones(plan.steps, plan.points)

    def after_step(step: int) -> None:
        if step in points:
            measure_point(trainers, samples, plan.seen_before + step * plan.images * means.processes.size, means)

    train_together(list(trainers.values()), after_step)
    measure_point(trainers, samples, plan.seen_before + plan.steps * plan.images * means.processes.size, means)
    return {name: finish(plan, trainer) for name, trainer in trainers.items()}


def curve_samples() -> list[Sample]:
    """The same few samples of the known style for every point of every curve."""
    return choose_samples(open_dataset("scenes", ("known",), None).samples, CURVE_SAMPLES, 0)


def measure_point(trainers: Mapping[str, Trainer], samples: Sequence[Sample], pictures: int, means: Means) -> None:
    """Add a point to each method's curve; the processes share the methods."""
    for trainer in trainers.values():
        trainer.save()
    means.processes.wait()
    for number, (name, trainer) in enumerate(trainers.items()):
        curve = trainer.out / CURVE_FILE
        if number % means.processes.size == means.processes.rank and pictures not in measured(curve):
            add_point(curve, load_trained(name, trainer.out / "model", means.device), samples, pictures)
    means.processes.wait()


def finish(plan: TrainingPlan, trainer: Trainer) -> str:
    """Write a trained method's figures and card beside its weights."""
    losses = validation_losses(trainer, plan.validation_batches)
    if trainer.processes.rank > 0:
        return ""
    model = trainer.out / "model"
    figures = {
        "losses": losses,
        "hardware": hardware_name(trainer.device),
        "commit": git("rev-parse", "--short", "HEAD"),
    }
    write_atomically(model / FIGURES_FILE, json.dumps(figures, indent=1) + "\n")
    for name in (SWEEP_FILE, CURVE_FILE, TRAINING_FILE, "log.jsonl"):
        write_atomically(model / name, (trainer.out / name).read_text())
    text = card(model)
    write_atomically(model / "README.md", text)
    return text


def choose_rates(plan: TrainingPlan, means: Means, out: Path) -> dict[str, float]:
    """The best of the plan's rates for each method; finished rates are in `out/METHOD/sweep.json`."""
    sweeps = {name: _open_sweep(plan, name, means, out / name / SWEEP_FILE) for name in plan.methods}
    for rate in plan.rates:
        waiting = [name for name, sweep in sweeps.items() if rate not in {row["rate"] for row in sweep["rows"]}]
        if not waiting:
            continue
        trainers = {
            name: make_trainer(plan, name, rate, plan.sweep_steps, means, out / name / "sweep" / f"{rate:g}")
            for name in waiting
        }
        for trainer in trainers.values():
            trainer.resume()
        train_together(list(trainers.values()))
        for name, trainer in trainers.items():
            losses = validation_losses(trainer, plan.validation_batches)
            sweeps[name]["rows"].append({"rate": rate, "score": choice_score(losses), "losses": losses})
            if means.processes.rank == 0:
                write_atomically(out / name / SWEEP_FILE, json.dumps(sweeps[name], indent=1) + "\n")
    return {
        name: best_rate([row for row in sweep["rows"] if row["rate"] in plan.rates]) for name, sweep in sweeps.items()
    }


def _open_sweep(plan: TrainingPlan, method: str, means: Means, path: Path) -> dict[str, Any]:
    about = {
        "method": method,
        "backbone": plan.backbone.name if plan.backbone.is_absolute() else plan.backbone.as_posix(),
        "steps": plan.sweep_steps,
        "grid": plan.grid,
        "images": plan.images,
        "validation_scenes": plan.validation_batches * plan.images,
        "first_seed": CHOICE_SEEDS.start,
        "photographs": means.photographs.origins() if means.photographs else {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return about | {"rows": []}
    sweep: dict[str, Any] = json.loads(path.read_text())
    if changed := [name for name, value in about.items() if sweep.get(name, value) != value]:
        raise ValueError(f"{path} is of another sweep ({', '.join(changed)} differ); choose another --out or delete it")
    return sweep


def make_trainer(plan: TrainingPlan, method: str, rate: float, steps: int, means: Means, out: Path) -> Trainer:
    """A trainer at the start."""
    return Trainer(
        plan.config(rate, steps),
        means.art,
        out,
        means.device,
        init_from=plan.start_of(method),
        photographs=means.photographs,
        workers=means.workers,
        processes=means.processes,
        masks=OBJECTIVES[method],
    )


def load_trained(name: str, model: Path, device: torch.device) -> Method:
    """The method, loaded from a folder of weights."""
    options = MethodOptions(LoadOptions(device=str(device)), MAX_NEW_TOKENS, checkpoints={name: str(model)})
    (method,) = load_methods([name], options)
    return method

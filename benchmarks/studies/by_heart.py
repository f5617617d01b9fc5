"""Whether each way to give masks can be learned at all: a few pictures, again and again, then the same requests.

A method that knows a few pictures by heart, but fails on others, lacks training and not code. One that fails even here
has code that cannot learn its form. The pictures are composed from the seeds that choose learning rates, so no other
training and no evaluation has seen them; each has one request, whose answer the method must repeat word for word.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from tqdm import trange

from benchmarks.budget import SWEEP_FILE
from benchmarks.checkpoints import CHECKPOINTS
from benchmarks.datasets.sample import MaskSample, Truth
from benchmarks.methods import Method
from benchmarks.reporting.report_table import interval, markdown
from benchmarks.running.measuring import run_samples
from benchmarks.scoring.intervals import bootstrap, mean
from benchmarks.scoring.scores import iou_of
from benchmarks.studies.formats import forms
from benchmarks.training.recipe import CHOICE_SEEDS, TrainingPlan, best_rate
from benchmarks.training.together import seen
from benchmarks.training.train import Means, load_trained, make_trainer
from stamp.checkpoints.provenance import provenance_of
from stamp.model.processing_stamp import StampProcessor
from stamp.pictures.masks import intersection_over_union
from stamp.training.card.study import write_results
from stamp.training.learning.cells import Grid
from stamp.training.learning.data import BatchMaker
from stamp.training.learning.recipes import STYLES
from stamp.training.learning.trainer import Trainer
from stamp.training.talk.makers import as_typed

ROWS_FILE, RECORD_FILE = "by-heart.jsonl", "by-heart.json"


@dataclass(frozen=True)
class ByHeartConfig:
    """What to learn. trained: folder with the compared checkpoints, whose sweeps give the rates. batch: pictures."""

    methods: tuple[str, ...]
    backbone: Path
    trained: Path
    pictures: int = 32
    steps: int = 400
    batch: int = 8
    grid: int = 12
    styles: tuple[str, ...] = STYLES

    def __post_init__(self) -> None:
        if self.batch < 1 or self.pictures < 1 or self.pictures % self.batch:
            raise ValueError(f"pictures must be a multiple of {self.batch}, got {self.pictures}")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")


def run_by_heart(config: ByHeartConfig, means: Means, out: Path) -> dict[str, Any]:
    """Train each method and ask; write `by-heart.jsonl` and `by-heart.json`; return the latter's content."""
    rows: list[dict[str, Any]] = []
    for method in config.methods:
        rows += learn(method, config, means, out)
    facts = {"trained": config.trained.name, "backbone": config.backbone.name}
    record = {
        "provenance": provenance_of(means.device) | asdict(config) | facts,
        "scores": {method: score([row for row in rows if row["method"] == method]) for method in config.methods},
    }
    write_results(rows, ROWS_FILE, record, RECORD_FILE, out)
    return record


def learn(method: str, config: ByHeartConfig, means: Means, out: Path) -> Iterator[dict[str, Any]]:
    """Train one method, and yield a line for each of its answers."""
    sweep = json.loads((config.trained / CHECKPOINTS[method] / SWEEP_FILE).read_text())
    rate = best_rate(sweep["rows"])
    plan = TrainingPlan(
        (method,), config.backbone, config.steps, 1, (rate,), config.grid, config.batch, styles=config.styles
    )
    trainer = make_trainer(plan, method, rate, config.steps, means, out / method)
    maker = maker_of(trainer, config)
    (stage,) = trainer.config.stages
    trainer.start(stage)
    made = [maker[number] for number in range(len(maker))]
    batches = [replace(batch, features=seen(trainer, batch)) for batch in made]  # the tower stays, so it sees them once
    for step in trange(config.steps, desc=method, unit="step"):
        trainer.advance(stage, step, batches[step % len(batches)])
    trainer.save()
    samples = [sample for number in range(len(maker)) for sample in samples_of(maker, number, out)]
    return rows_of(method, load_trained(method, trainer.out / "model", means.device), samples, trainer.processor)


def maker_of(trainer: Trainer, config: ByHeartConfig) -> BatchMaker:
    """Makes the few batches: each picture with one request and nothing before it."""
    (stage,) = trainer.config.stages
    return BatchMaker(
        replace(stage.plan, seed_offset=0, earlier=0.0, photographs=0.0),
        trainer.processor,
        trainer.art,
        config.pictures // config.batch,
        masks=trainer.masks,
        seeds=CHOICE_SEEDS,
    )


def samples_of(maker: BatchMaker, number: int, out: Path) -> Iterator[MaskSample]:
    """The requests of a batch, as its rows ask them; pictures go into `out/pictures`."""
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for scene in maker.scenes(number):
        rng = Random(scene.seed)
        *_, exchange = maker.mask_exchanges(Grid.of(scene, maker.lexicon), rng)
        picture = folder / f"{scene.seed}.png"
        Image.fromarray(scene.image).save(picture)
        asked = [mask_id for mask_ids in exchange.targets for mask_id in mask_ids]
        truth = partial(Truth, np.isin(scene.labels, asked))
        prompt, name = as_typed(exchange.question, rng), str(scene.seed)
        yield MaskSample("by heart", "pictures", name, exchange.kind, picture, prompt, False, truth, exchange.phrase)


def rows_of(
    method: str, trained: Method, samples: Sequence[MaskSample], processor: StampProcessor
) -> Iterator[dict[str, Any]]:
    """A line for each answer: its IoU, and that of the right mask in the method's form."""
    form = forms(processor)["stamp" if method == "stamp_shared" else method]
    for sample, record in zip(samples, run_samples([trained], samples, warmups=0), strict=True):
        picture, truth = sample.load_image(), sample.truth().mask
        _, grid_thw = processor.encode_image(picture)
        drawn, _ = form(truth, picture, (int(grid_thw[0, 1]), int(grid_thw[0, 2])))
        about = {"method": method, "sample": sample.id, "kind": sample.kind, "prompt": sample.prompt}
        best = intersection_over_union(drawn, truth)
        yield about | {"answer": record.raw_output, "iou": round(iou_of(record), 4), "form": round(best, 4)}


def score(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over a method's answers, with a 95 % interval over pictures."""
    columns = {name: mean([row[name] for row in rows]) for name in ("iou", "form")}
    return {name: asdict(one) for name, one in bootstrap(columns, [row["sample"] for row in rows]).items()}


def by_heart_table(record: dict[str, Any]) -> str:
    """Markdown: what each method scores on the pictures that it has learned, and what its form allows there."""
    lines = []
    for method, scores in record["scores"].items():
        share = scores["iou"]["value"] / scores["form"]["value"]
        lines.append([method, interval(scores["iou"]), interval(scores["form"]), f"{share:.2f}"])
    about = record["provenance"]
    return (
        f"{markdown(['method', 'mean IoU', 'its form at best', 'share'], lines, words=1)}\n\n"
        f"{about['pictures']} pictures, {about['steps']} steps of {about['batch']}, from {about['backbone']}; "
        f"{about['hardware']}, {about['date']}, commit {about['commit']}."
    )

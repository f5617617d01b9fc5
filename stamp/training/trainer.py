"""Train the nano in stages, on a CPU or a GPU, with checkpoints that survive a kill.

Stages: "words" trains dialogue and all-mask prediction with a perfect vision tower, whose features are the word
embeddings of what a cell shows: matching words with cells takes thousands of steps to emerge, and here they are cheap.
"vision" then teaches the vision tower to give such features, and "joint" trains everything on pictures, first on a
coarse grid, then on a fine one. Batches are pure functions of the step, so a resumed run continues with the very
numbers of an uninterrupted one.
"""

import json
import math
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from stamp.modeling_stamp import StampForSegmentation
from stamp.processing_stamp import StampProcessor
from stamp.training.art import ArtLibrary
from stamp.training.data import Batch, BatchMaker, BatchPlan, Rows
from stamp.training.nano import build_model, build_processor, image_processor
from stamp.training.objectives import NounFeatures, answer_loss, dense_loss, mask_loss
from stamp.training.optimizer import Optimizers, Part

#: The answer is also read after this text layer, at this weight: a noun is then matched with the picture early enough
#: for later layers to use it. Without it the match settles in the last layer, and "is there an apple?" stays a guess.
EARLY_LAYER, EARLY_WEIGHT = 2, 0.5
#: Noise on the perfect features of a "words" stage, against a length of 3.
FEATURE_NOISE = 0.05


@dataclass(frozen=True)
class Stage:
    """One stage. A learning rate of 0 freezes its part of the model.

    Rates rise over `warmup_steps`, stay, and fall linearly over the last `decay_share` of the steps.
    """

    name: str
    objective: Literal["words", "vision", "joint"]
    plan: BatchPlan
    steps: int
    text_lr: float
    vision_lr: float
    warmup_steps: int = 200
    decay_share: float = 0.25
    dense_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"stage {self.name!r} needs at least one step, got {self.steps}")
        if self.objective != "vision" and not self.plan.mask_rows:
            raise ValueError(f"stage {self.name!r} trains masks: it needs mask rows")

    def lr_factor(self, step: int) -> float:
        """Share of the peak learning rate at a step."""
        decay_steps = max(1, round(self.steps * self.decay_share))
        return min(1.0, (step + 1) / max(1, self.warmup_steps), (self.steps - step) / decay_steps)


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run. `precision` "auto" is bf16 where the hardware has matrix units for it, float32 elsewhere.

    compile: torch.compile the text model (1.3 times as fast on a CPU, after a minute of compiling).
    """

    stages: tuple[Stage, ...]
    seed: int = 0
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    checkpoint_minutes: float = 5.0
    log_every: int = 20
    precision: Literal["auto", "bf16", "float32"] = "auto"
    compile: bool = False


@dataclass
class Progress:
    """Where a run stands. seconds: training time so far, without pauses."""

    stage: int = 0
    step: int = 0
    seconds: float = 0.0


@dataclass
class Trainer:
    """Runs a TrainingConfig and leaves `out/model` (a checkpoint) and `out/state.pt` (all that resuming needs)."""

    config: TrainingConfig
    art: ArtLibrary
    out: Path
    device: torch.device
    init_from: Path | None = None
    workers: int = 1
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self.config.seed)
        if self.init_from is None:
            self.processor = build_processor()
            model = build_model(self.processor, self.config.seed)
        else:
            self.processor = StampProcessor.from_pretrained(self.init_from)
            model = StampForSegmentation.from_pretrained(self.init_from, dtype=torch.float32)
        self.model: StampForSegmentation = model
        self.model.to(self.device)  # type: ignore[arg-type]
        self.model.train()
        if self.config.compile:
            self.model.model.language_model.compile(dynamic=True)
        self._early: Tensor | None = None
        self.model.model.language_model.layers[EARLY_LAYER - 1].register_forward_hook(self._keep_early)
        self.nouns = NounFeatures(self.processor, self.model).to(self.device)
        self.bf16 = self.config.precision == "bf16" or (self.config.precision == "auto" and _fast_bf16(self.device))
        self.optimizer: Optimizers | None = None
        self._pending_optimizer_state: list[dict[str, Any]] | None = None

    # -- running -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train from where `progress` stands to the end; save every few minutes, after each stage and on Ctrl-C."""
        for index in range(self.progress.stage, len(self.config.stages)):
            if index != self.progress.stage:
                self.progress = Progress(index, 0, self.progress.seconds)
            try:
                self._run_stage(self.config.stages[index])
            finally:  # at the end of a stage, and on Ctrl-C
                self.save()

    def _run_stage(self, stage: Stage) -> None:
        self.optimizer = self._make_optimizer(stage)
        first, last_save = self.progress.step, time.monotonic()
        meter = _Meter()
        bar = tqdm(total=stage.steps, initial=first, desc=stage.name, unit="step", mininterval=5)
        for step, batch in enumerate(self._batches(stage, first), start=first):
            started = time.monotonic()
            losses = self.train_step(stage, step, batch)
            self.progress.step = step + 1
            self.progress.seconds += time.monotonic() - started
            meter.add(losses)
            bar.update()
            if (step + 1) % self.config.log_every == 0:
                self._log(stage, step + 1, averages := meter.averages())
                bar.set_postfix({name: f"{value:.3f}" for name, value in averages.items()})
            if time.monotonic() - last_save > 60 * self.config.checkpoint_minutes:
                self.save()
                last_save = time.monotonic()
        bar.close()

    def _batches(self, stage: Stage, first: int) -> Iterator[Batch]:
        maker = BatchMaker(stage.plan, self.processor, self.art, stage.steps, pictures=stage.objective != "words")
        rest = Subset(maker, range(first, stage.steps))
        extra: dict[str, Any] = {"prefetch_factor": 4, "worker_init_fn": _one_thread} if self.workers else {}
        return iter(DataLoader(rest, batch_size=None, num_workers=self.workers, **extra))

    def _make_optimizer(self, stage: Stage) -> Optimizers:
        visual, language = self.model.model.visual, self.model.model.language_model
        in_vision = {id(p) for p in visual.parameters()}
        text = [p for p in self.model.parameters() if id(p) not in in_vision]
        parts = (
            Part([*visual.parameters(), *self.nouns.parameters()], visual.blocks, stage.vision_lr),
            Part(text, language.layers, stage.text_lr),
        )
        optimizer = Optimizers(parts, self.config.weight_decay)
        if self._pending_optimizer_state is not None:
            optimizer.load_state_dict(self._pending_optimizer_state)
            self._pending_optimizer_state = None
        return optimizer

    def train_step(self, stage: Stage, step: int, batch: Batch) -> dict[str, float]:
        """One optimizer step on one batch; returns the losses (and the grid IoU of its masks) as numbers."""
        assert self.optimizer is not None
        torch.manual_seed(self.config.seed + step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            losses, shown = self.losses(stage, batch.to(self.device))
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.optimizer.parameters, self.config.max_grad_norm)
        self.optimizer.step(stage.lr_factor(step))
        return {name: float(value.detach()) for name, value in (losses | shown).items()}

    def losses(self, stage: Stage, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(losses to add up, figures only to show). Image features are computed once for all rows of an image."""
        embeddings: Any = self.model.get_input_embeddings().weight
        ideal = self.nouns.ideal(batch.coverage, embeddings)
        losses: dict[str, Tensor] = {}
        shown: dict[str, Tensor] = {}
        if stage.objective == "words":
            embeds = ideal + FEATURE_NOISE * torch.randn_like(ideal)
        else:
            assert batch.pixel_values is not None
            embeds = torch.stack(self.model.encode_images(batch.pixel_values, batch.grid_thw))
            logits = self.nouns.classify(embeds, embeddings)
            losses["dense"] = stage.dense_weight * dense_loss(logits, batch.coverage)
            losses["align"] = stage.dense_weight * functional.mse_loss(embeds, ideal)
            shown["cells"] = _object_cell_accuracy(logits, batch.coverage)
        if stage.objective != "vision":
            mask_losses, shown["iou"] = self._row_losses(batch, embeds)
            losses |= mask_losses
        return losses, shown

    def _row_losses(self, batch: Batch, embeds: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of answers and masks, and the grid IoU."""
        assert batch.mask_rows is not None and batch.mask_rows.target is not None
        hidden, mask_logits = self._forward(batch.mask_rows, embeds, batch.grid_thw)
        assert mask_logits is not None
        text = self._answer_loss(batch.mask_rows, hidden)
        if batch.text_rows is not None:
            hidden, _ = self._forward(batch.text_rows, embeds, batch.grid_thw)
            text = text + self._answer_loss(batch.text_rows, hidden)
        losses = {"text": text, "mask": mask_loss(mask_logits, batch.mask_rows.target).mean()}
        return losses, _grid_iou(mask_logits, batch.mask_rows.target)

    def _forward(self, rows: Rows, embeds: Tensor, grid_thw: Tensor) -> tuple[Tensor, Tensor | None]:
        output = self.model.forward_rows(
            rows.input_ids,
            rows.attention_mask,
            embeds[rows.image_index],
            grid_thw[rows.image_index],
            rows.seg_index,
        )
        assert output.hidden_states is not None
        return output.hidden_states, output.mask_logits

    def _keep_early(self, layer: nn.Module, given: Any, output: Any) -> None:
        self._early = output[0] if isinstance(output, tuple) else output

    def _answer_loss(self, rows: Rows, hidden: Tensor) -> Tensor:
        assert self._early is not None
        early = self.model.model.language_model.norm(self._early[:, : hidden.shape[1]])
        final, soon = (
            answer_loss(states, self.model.lm_head, rows.input_ids, rows.is_answer) for states in (hidden, early)
        )
        return final + EARLY_WEIGHT * (soon - soon.detach())  # the figure shown stays the loss of the answer

    # -- saving and resuming -----------------------------------------------------------------------------------

    def save(self) -> None:
        """Write `state.pt` (exact, for resuming) and `model/` (for use, with pictures at the size of the stage)."""
        assert self.optimizer is not None
        state = {
            "config": config_fingerprint(self.config),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "nouns": self.nouns.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        part = self.out / "state.pt.part"
        torch.save(state, part)
        os.replace(part, self.out / "state.pt")
        grid = self.config.stages[self.progress.stage].plan.grid
        processor = StampProcessor(self.processor.tokenizer, image_processor(grid))
        export_checkpoint(self.model, processor, self.out / "model")
        summary = {
            "progress": asdict(self.progress),
            "hardware": hardware_name(self.device),
            "precision": "bf16" if self.bf16 else "float32",
            "config": asdict(self.config),
        }
        (self.out / "training.json").write_text(json.dumps(summary, indent=1) + "\n")

    def resume(self) -> bool:
        """Continue from `out/state.pt`; False when there is none. Raises ValueError for another configuration."""
        path = self.out / "state.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["config"] != config_fingerprint(self.config):
            raise ValueError(f"{path} belongs to another configuration; choose another --out or delete it")
        self.progress = Progress(**state["progress"])
        self.model.load_state_dict(state["model"])
        self.nouns.load_state_dict(state["nouns"])
        if self.progress.step < self.config.stages[self.progress.stage].steps:
            self._pending_optimizer_state = state["optimizer"]
        return True

    def _log(self, stage: Stage, step: int, averages: dict[str, float]) -> None:
        row = {"stage": stage.name, "step": step, "seconds": round(self.progress.seconds, 1)}
        rounded = {name: round(value, 5) for name, value in averages.items()}
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(row | rounded) + "\n")


class _Meter:
    """Means of named numbers since the last reading."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def add(self, row: dict[str, float]) -> None:
        self._rows.append(row)

    def averages(self) -> dict[str, float]:
        rows, self._rows = self._rows, []
        return {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]}


def export_checkpoint(model: StampForSegmentation, processor: StampProcessor, folder: Path) -> None:
    """Write a loadable checkpoint folder: bfloat16 safetensors in shards of at most 10 MB, tokenizer, image sizes."""
    weights = {name: value.detach().to("cpu", torch.bfloat16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=weights, max_shard_size="9MB")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}, indent=2) + "\n")
    processor.save_pretrained(folder)


def config_fingerprint(config: TrainingConfig) -> str:
    """What must be equal for one run to continue another. Stages may be made longer or shorter in between."""
    values = asdict(config)
    for free in ("checkpoint_minutes", "log_every", "compile"):
        del values[free]
    for stage in values["stages"]:
        del stage["steps"]
    return json.dumps(values, sort_keys=True)


def hardware_name(device: torch.device) -> str:
    """The processor that computes: the GPU's name, or the CPU's with its cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} CPU cores ({names[0] if names else platform.processor() or 'unknown'})"


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_amx_tile_supported())


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


@torch.no_grad()
def _object_cell_accuracy(logits: Tensor, coverage: Tensor) -> Tensor:
    """Share of object cells (background below one half) whose largest logit is the noun that covers them most."""
    on_object = coverage[..., 0] < 0.5
    return (logits.argmax(-1) == coverage.argmax(-1))[on_object].float().mean()


@torch.no_grad()
def _grid_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Mean IoU on the grid, of logits > 0 against coverage >= 1/2 (both empty = 1)."""
    predicted, wanted = logits > 0, target >= 0.5
    union = (predicted | wanted).sum(1)
    return torch.where(union == 0, 1.0, (predicted & wanted).sum(1) / union.clamp(min=1)).mean()

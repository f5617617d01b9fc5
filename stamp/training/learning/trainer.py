"""Train the nano in stages, on a CPU or a GPU, with checkpoints that survive a kill.

Stages: "words" trains dialogue and all-mask prediction with a perfect vision tower: its features are the word
embeddings of what a cell shows. Matching words with cells takes thousands of steps to emerge; here steps are cheap.
"vision" then teaches the vision tower to give such features, and "joint" trains everything on pictures, first on a
coarse grid, then on a fine one. Batches are pure functions of the step, so a resumed run gives exactly the numbers of
an uninterrupted one.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from stamp.checkpoints.provenance import hardware_name
from stamp.files import append_row, drop_torn_line, write_atomically, writing
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.batch import Batch, Rows
from stamp.training.learning.checkpoint import read_weights, write_checkpoint, write_state
from stamp.training.learning.config import PROBE_LOSS, Stage, TrainingConfig, config_record
from stamp.training.learning.data import BatchMaker
from stamp.training.learning.grounding import Grounding
from stamp.training.learning.identity import refuse_other_run, run_identity
from stamp.training.learning.lineage import lineage
from stamp.training.learning.loader import loader_of
from stamp.training.learning.mask_objective import AllMask, MaskObjective
from stamp.training.learning.meter import Meter
from stamp.training.learning.nano import build_model, build_processor, image_processor
from stamp.training.learning.objectives import (
    NounFeatures,
    answer_loss,
    dense_loss,
    grid_ious,
    joint_losses,
    mask_loss,
    object_cell_accuracy,
    run_rows,
)
from stamp.training.learning.optimizer import Optimizers, parts_of
from stamp.training.learning.precision import ATTENTION_IN_FLOAT32, fast_bf16
from stamp.training.learning.processes import TrainingProcesses
from stamp.training.learning.transfer import adopt_text, adopt_text_layers, adopt_vision_tower
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.photographs import PhotoLibrary

#: Weight of the attention loss and the probe losses, relative to the loss of answers.
PROBE_WEIGHT = 0.1
#: Weights of the squared errors of image features, relative to their cross-entropy as nouns.
ALIGN_WEIGHT, ATTRIBUTE_WEIGHT = 3.0, 6.0
#: Noise on the perfect features of a "words" stage, which have length 3.
FEATURE_NOISE = 0.05


@dataclass
class Progress:
    """The progress of a run. seconds: training time so far, without pauses."""

    stage: int = 0
    step: int = 0
    seconds: float = 0.0


@dataclass
class Trainer:
    """Runs a TrainingConfig and leaves `out/model` (a checkpoint) and `out/state.pt` (everything that resuming needs).

    masks: how requests for a mask are answered and trained. init_from: a checkpoint to continue from; text_from: one
    that gives its text layers, and a new model its words too; vision_from: one that gives its tower (`transfer`).
    """

    config: TrainingConfig
    art: ArtLibrary
    out: Path
    device: torch.device
    init_from: Path | None = None
    text_from: Path | None = None
    vision_from: Path | None = None
    photographs: PhotoLibrary | None = None
    workers: int = 1
    processes: TrainingProcesses = field(default_factory=TrainingProcesses)
    masks: MaskObjective = field(default_factory=AllMask)
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        self.earlier = lineage(self.init_from, self.text_from, self.vision_from)
        torch.manual_seed(self.config.seed)
        lexicon = Lexicon.of(self.art.nouns)
        if self.init_from is None:
            self.processor = build_processor(lexicon)
            model = build_model(self.processor, self.config.seed, self.config.vision_stem)
            if self.text_from is not None:
                adopt_text(model, self.processor, self.text_from)
        else:
            self.processor = StampProcessor.from_pretrained(self.init_from)
            model = read_weights(self.masks.class_of(self.init_from), self.init_from)
            if self.text_from is not None:
                adopt_text_layers(model, self.text_from)
        if self.vision_from is not None:
            adopt_vision_tower(model, self.processor, self.vision_from)
        self.model: StampForSegmentation = self.masks.adopt(model, self.processor)
        self.model.to(self.device)  # type: ignore[arg-type]
        self.model.train()
        if self.config.compile:
            self.model.model.language_model.compile(dynamic=True)
        self.nouns = NounFeatures(self.processor, self.model, lexicon).to(self.device)
        self.grounding = Grounding(self.model)
        self.bf16 = self.config.precision == "bf16" or (self.config.precision == "auto" and fast_bf16(self.device))
        if self.bf16 and self.device.type == "cpu":
            self.model.set_attn_implementation(ATTENTION_IN_FLOAT32)
        self.optimizer: Optimizers | None = None
        self.meter = Meter()
        self.shown: dict[str, str] = {}
        self._pending_optimizer_state: list[dict[str, Any]] | None = None

    # -- running -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train from the current `progress` to the end; save every few minutes and after each stage.

        Raises KeyboardInterrupt when asked to stop, after the step in progress and a save.
        """
        for index in range(self.progress.stage, len(self.config.stages)):
            if index != self.progress.stage:
                self.progress = Progress(index, 0, self.progress.seconds)
            self._run_stage(self.config.stages[index])
            self.save()

    def _run_stage(self, stage: Stage) -> None:
        self.start(stage)
        first, last_save = self.progress.step, time.monotonic()
        quiet = self.processes.rank > 0
        bar = tqdm(total=stage.steps, initial=first, desc=stage.name, unit="step", mininterval=5, disable=quiet)
        for step, batch in enumerate(self._batches(stage, first), start=first):
            self.advance(stage, step, batch)
            bar.update()
            bar.set_postfix(self.shown, refresh=False)
            self.processes.stop_if_asked(self.save)
            if time.monotonic() - last_save > 60 * self.config.checkpoint_minutes:
                self.save()
                last_save = time.monotonic()
        bar.close()

    def advance(self, stage: Stage, step: int, batch: Batch) -> None:
        """`train_step`, its time, and every `log_every` steps a line in the log."""
        started = time.monotonic()
        self.meter.add(self.train_step(stage, step, batch))
        self.progress.step = step + 1
        self.progress.seconds += time.monotonic() - started
        if (step + 1) % self.config.log_every == 0:
            averages = self.meter.averages()
            self.shown = {name: f"{value:.3f}" for name, value in averages.items()}
            self._log(stage, step + 1, averages)

    def maker(self, stage: Stage, pictures: bool) -> BatchMaker:
        """Makes the stage's batches, for all processes. pictures: whether they have pixels."""
        steps = stage.steps * self.processes.size
        return BatchMaker(
            stage.plan, self.processor, self.art, steps, pictures, self.masks, photographs=self.photographs
        )

    def _batches(self, stage: Stage, first: int) -> Iterator[Batch]:
        maker = self.maker(stage, stage.objective != "words")
        return iter(loader_of(maker, first, self.processes, self.workers))

    def start(self, stage: Stage) -> None:
        """Make the stage's optimizer, with its state if the stage was interrupted."""
        words = self.masks.words(self.processor)
        parts = parts_of(self.model, self.nouns, stage, words, self.masks.blocks(self.model))
        self.optimizer = Optimizers(parts, self.config.weight_decay)
        if self._pending_optimizer_state is not None:
            self.optimizer.load_state_dict(self._pending_optimizer_state)
            self._pending_optimizer_state = None
        self.meter, self.shown = Meter(), {}

    def train_step(self, stage: Stage, step: int, batch: Batch) -> dict[str, float]:
        """One optimizer step on one batch; returns the losses (and the grid IoU of its masks) as numbers."""
        assert self.optimizer is not None
        torch.manual_seed(self.config.seed + step * self.processes.size + self.processes.rank)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            losses, shown = self.losses(stage, batch.to(self.device))
        torch.stack(list(losses.values())).sum().backward()
        self.optimizer.keep_own_rows()
        self.processes.average_gradients(self.optimizer.parameters)
        nn.utils.clip_grad_norm_(self.optimizer.parameters, self.config.max_grad_norm)
        self.optimizer.step(stage.lr_factor(step))
        return {name: float(value.detach()) for name, value in (losses | shown).items()}

    def losses(self, stage: Stage, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(losses to sum, figures for display only). Image features are computed once for all rows of an image."""
        embeddings: Any = self.model.get_input_embeddings().weight
        ideal = self.nouns.ideal(batch.coverage, batch.attributes, embeddings)
        losses: dict[str, Tensor] = {}
        shown: dict[str, Tensor] = {}
        if stage.objective == "words":
            embeds = ideal + FEATURE_NOISE * torch.randn_like(ideal)
        else:
            embeds = self.features(batch) if batch.features is None else batch.features
            if batch.features is None:
                logits = self.nouns.classify(embeds, embeddings)
                losses |= self.vision_losses(batch, embeds, ideal, logits)
                shown["cells"] = object_cell_accuracy(logits, batch.coverage)
            mix = stage.teacher_mix * torch.rand(len(embeds), 1, 1, device=embeds.device)
            embeds = torch.lerp(embeds.float(), ideal.float(), mix)
        if stage.objective != "vision":
            for rows in filter(None, (batch.mask_rows, batch.text_rows)):
                text, probe, mask_logits = self._forward(rows, batch, embeds)
                losses["text"] = losses.get("text", 0) + text
                losses[PROBE_LOSS] = losses.get(PROBE_LOSS, 0) + probe
                if rows.target is not None:
                    assert mask_logits is not None
                    losses["mask"] = mask_loss(mask_logits, rows.target).mean()
                    if self.masks.whole_answers:
                        assert rows.seg_index is not None
                        losses |= joint_losses(mask_logits, rows.target, (rows.seg_index >= 0).sum(1).tolist())
                    shown["iou"] = grid_ious(mask_logits, rows.target).mean()
        return losses, shown

    def features(self, batch: Batch) -> Tensor:
        """(N, P, H) image features of a batch's pictures."""
        assert batch.pixel_values is not None
        return torch.stack(self.model.encode_images(batch.pixel_values, batch.grid_thw))

    def vision_losses(self, batch: Batch, embeds: Tensor, ideal: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """What the vision tower learns: (N, P, H) image features and perfect ones, (N, P, 1 + nouns) logits."""
        return {
            "dense": dense_loss(logits, batch.coverage, batch.weights),
            "align": ALIGN_WEIGHT * (batch.weights.unsqueeze(-1) * (embeds - ideal) ** 2).mean(),
            "attributes": ATTRIBUTE_WEIGHT * self.nouns.marks_loss(embeds, batch.attributes),
        }

    def _forward(self, rows: Rows, batch: Batch, embeds: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """(loss of the answers, attention and probe losses, mask logits) of some rows."""
        output = run_rows(self.model, rows, batch, embeds)
        assert output.hidden_states is not None
        text = answer_loss(output.hidden_states, self.model.lm_head, rows.input_ids, rows.is_answer)
        embeddings: Any = self.model.get_input_embeddings().weight
        probes = self.grounding.loss(rows, batch, self.nouns, embeddings)
        return text, PROBE_WEIGHT * probes, output.mask_logits

    # -- saving and resuming -----------------------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """What must be equal to continue this run."""
        return run_identity(self.config, self.masks.name, self.photographs, self.earlier, self.processes.size)

    def save(self) -> None:
        """Write `state.pt` (exact, for resuming) and `model/` (for use, with pictures at the size of the stage)."""
        assert self.optimizer is not None
        if self.processes.rank > 0:
            return
        state = {
            **self.identity(),
            "progress": asdict(self.progress),
            "model": self.model.state_dict(),
            "nouns": self.nouns.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        write_state(state, self.out / "state.pt")
        stage = self.config.stages[self.progress.stage]
        images = image_processor(stage.plan.grid, self.processor.image_processor)
        processor = StampProcessor(self.processor.tokenizer, images)
        write_checkpoint(self.model, processor, self.art, self.photographs, self.out / "model")
        summary = {
            "masks": self.masks.name,
            "progress": asdict(self.progress),
            "hardware": hardware_name(self.device),
            "processes": self.processes.size,
            "precision": "bf16" if self.bf16 else "float32",
            "config": config_record(self.config),
            "photographs": self.photographs.origins() if self.photographs else {},
            "earlier": self.earlier,
        }
        write_atomically(self.out / "training.json", json.dumps(summary, indent=1) + "\n")

    def resume(self) -> bool:
        """Continue from `out/state.pt`; False if there is none. Raises ValueError if it is of another run."""
        path = self.out / "state.pt"
        drop_torn_line(self.out / "log.jsonl")
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        refuse_other_run({"masks": AllMask.name} | state, self.identity(), path)
        self.progress = Progress(**state["progress"])
        self.model.load_state_dict(state["model"])
        self.nouns.load_state_dict(state["nouns"])
        if self.progress.step < self.config.stages[self.progress.stage].steps:
            self._pending_optimizer_state = state["optimizer"]
        return True

    def _log(self, stage: Stage, step: int, averages: dict[str, float]) -> None:
        if self.processes.rank > 0:
            return
        row = {"stage": stage.name, "step": step, "seconds": round(self.progress.seconds, 1)}
        append_row(self.out / "log.jsonl", row | {name: round(value, 5) for name, value in averages.items()})

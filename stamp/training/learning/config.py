"""The configuration of a training run: its stages and their shared settings."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from stamp.model.configuration_stamp import VisionStem
from stamp.training.learning.data import BatchPlan

#: The name of the probe losses and the attention loss in logs and records.
PROBE_LOSS = "inside"
#: Fields of a stage that records name differently.
_RECORDED_AS = {"teacher_mix": "perfect_share"}


@dataclass(frozen=True)
class Stage:
    """One stage. A learning rate of 0 freezes its part of the model; words move only together with the vision tower.

    Rates rise over `warmup_steps`, stay constant, and fall linearly over the last `decay_share` of the steps.
    teacher_mix: moves the image features of each picture by a random share, at most this, towards those of a perfect
    vision tower, the teacher. So text trains on a frozen tower but also sees the features of a better one.
    """

    name: str
    objective: Literal["words", "vision", "joint"]
    plan: BatchPlan
    steps: int
    text_lr: float
    vision_lr: float
    warmup_steps: int = 200
    decay_share: float = 0.25
    teacher_mix: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"stage {self.name!r} needs at least one step, got {self.steps}")
        if self.objective != "vision" and not self.plan.mask_rows + self.plan.text_rows:
            raise ValueError(f"stage {self.name!r} trains dialogue or masks: it needs rows")

    def lr_factor(self, step: int) -> float:
        """The learning rate at a step, as a share of its peak."""
        decay_steps = max(1, round(self.steps * self.decay_share))
        return min(1.0, (step + 1) / max(1, self.warmup_steps), (self.steps - step) / decay_steps)


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run. `precision` "auto" is bf16 if the hardware has matrix units for it, otherwise float32.

    vision_stem: the stem of a model that starts from random weights.
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
    vision_stem: VisionStem = "efficientnet-lite0"

    @property
    def needs_eyes(self) -> bool:
        """Whether the first stage that looks at pictures leaves the vision tower as it is."""
        first = next((stage for stage in self.stages if stage.objective != "words"), None)
        return first is not None and first.vision_lr == 0


def config_record(config: TrainingConfig) -> dict[str, Any]:
    """The configuration as training.json and state.pt hold it."""
    record = asdict(config)
    record["stages"] = [
        {_RECORDED_AS.get(name, name): value for name, value in stage.items()} for stage in record["stages"]
    ]
    return record


def config_fingerprint(config: TrainingConfig) -> str:
    """The settings that must be equal for one run to continue another. The stages' lengths may change."""
    values = config_record(config)
    for free in ("checkpoint_minutes", "log_every", "compile"):
        del values[free]
    for stage in values["stages"]:
        del stage["steps"]
    return json.dumps(values, sort_keys=True)

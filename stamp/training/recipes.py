"""The committed recipes: which stages make which checkpoint."""

from stamp.training.data import BatchPlan
from stamp.training.trainer import Stage, TrainingConfig

#: Styles of the embedded checkpoint. The scenes of each stage start at their own seed.
STYLES = ("fluent3d", "noto")


def nano_recipe() -> TrainingConfig:
    """assets/stamp-nano: words on perfect features, then the vision tower, then everything at 12x12 and at 24x24.

    "words" is mostly checklists: there a noun is matched with the picture where it stands, which is learned first.
    "words mixed" carries the match over to other questions.
    """
    words = BatchPlan(6, 4, 2, 2, 6, seed_offset=3 * 10**8, styles=STYLES, checklists=0.6)
    mixed = BatchPlan(6, 4, 1, 3, 6, seed_offset=4 * 10**8, styles=STYLES, checklists=0.4)
    vision = BatchPlan(12, 8, 0, 0, 0, seed_offset=0, styles=STYLES)
    coarse = BatchPlan(12, 4, 2, 1, 6, seed_offset=10**8, styles=STYLES)
    fine = BatchPlan(24, 4, 2, 1, 6, seed_offset=2 * 10**8, styles=STYLES)
    return TrainingConfig(
        stages=(
            Stage("words 6x6", "words", words, steps=3500, text_lr=1e-3, vision_lr=0.0, warmup_steps=30),
            Stage("words mixed 6x6", "words", mixed, steps=560, text_lr=1e-3, vision_lr=0.0, warmup_steps=30),
            Stage("vision 12x12", "vision", vision, steps=2500, text_lr=0.0, vision_lr=1.5e-3, warmup_steps=100),
            Stage("joint 12x12", "joint", coarse, steps=720, text_lr=5e-4, vision_lr=3e-4, warmup_steps=100),
            Stage("joint 24x24", "joint", fine, steps=300, text_lr=3e-4, vision_lr=2e-4, warmup_steps=30),
        ),
    )

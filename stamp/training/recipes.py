"""The committed recipes: which stages make which checkpoint."""

from stamp.training.config import Stage, TrainingConfig
from stamp.training.data import BatchPlan

#: Styles of the embedded checkpoint. The scenes of each stage start at their own seed.
STYLES = ("fluent3d", "noto")


def nano_recipe() -> TrainingConfig:
    """assets/stamp-nano: words on perfect features, then the vision tower, then everything at 12x12 and at 24x24."""
    words = BatchPlan(6, 6, 1, 1, 6, seed_offset=3 * 10**8, styles=STYLES, checklists=0.3)
    vision = BatchPlan(12, 16, 0, 0, 0, seed_offset=0, styles=STYLES)
    coarse = BatchPlan(12, 4, 1, 1, 6, seed_offset=10**8, styles=STYLES)
    fine = BatchPlan(24, 4, 1, 1, 6, seed_offset=2 * 10**8, styles=STYLES)
    return TrainingConfig(
        stages=(
            Stage("words 6x6", "words", words, 3500, text_lr=1e-3, vision_lr=0.0, warmup_steps=30),
            Stage("vision 12x12", "vision", vision, 4500, 0.0, 1e-3, warmup_steps=100, decay_share=0.7),
            Stage("joint 12x12", "joint", coarse, 2000, 7e-4, 3e-4, warmup_steps=60, decay_share=0.7),
            Stage("joint 24x24", "joint", fine, 300, text_lr=3e-4, vision_lr=2e-4, warmup_steps=30),
        ),
    )

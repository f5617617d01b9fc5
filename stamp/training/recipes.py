"""The committed recipes: which stages make which checkpoint."""

from stamp.training.data import BatchPlan
from stamp.training.trainer import Stage, TrainingConfig

#: Styles and steps of the embedded checkpoint. Scenes of each stage start at their own seed.
STYLES = ("fluent3d", "noto")


def nano_recipe() -> TrainingConfig:
    """assets/stamp-nano: words and looks aligned, then dialogue and masks at 12x12, then at 24x24."""
    vision = BatchPlan(12, 8, 0, 0, 0, seed_offset=0, styles=STYLES)
    coarse = BatchPlan(12, 8, 3, 1, 4, seed_offset=10**8, styles=STYLES)
    fine = BatchPlan(24, 4, 3, 1, 4, seed_offset=2 * 10**8, styles=STYLES)
    return TrainingConfig(
        stages=(
            Stage("vision 12x12", "vision", vision, steps=2600, text_lr=1e-3, vision_lr=1e-3, warmup_steps=100),
            Stage("joint 12x12", "joint", coarse, 1200, text_lr=1e-3, vision_lr=2e-4, warmup_steps=50, dense_weight=0.5),
            Stage("joint 24x24", "joint", fine, 450, text_lr=5e-4, vision_lr=2e-4, warmup_steps=50, dense_weight=0.5),
        ),
        compile=True,
    )

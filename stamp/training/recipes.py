"""The committed recipes: which stages make which checkpoint."""

from stamp.training.config import Stage, TrainingConfig
from stamp.training.data import BatchPlan
from stamp.training.vocabulary import TRAINING_STYLES


def backbone_recipe() -> TrainingConfig:
    """assets/nano-backbone: it talks and has never been asked for a mask's pixels.

    Words on perfect features, then the vision tower, then words on that tower, frozen, whose features are what costs
    the least of such a step, then both together. The scenes of each stage start at their own seed.
    """
    words = BatchPlan(6, 8, 0, 1, 6, 10**8, TRAINING_STYLES, checklists=0.3, requests=0.3)
    vision = BatchPlan(12, 32, 0, 0, 0, 10**6, TRAINING_STYLES)
    frozen = BatchPlan(12, 8, 0, 1, 6, 5 * 10**8, TRAINING_STYLES, checklists=0.25, requests=0.35)
    talk = BatchPlan(12, 6, 0, 1, 6, 2 * 10**8, TRAINING_STYLES, checklists=0.2, requests=0.3)
    return TrainingConfig(
        stages=(
            Stage("words 6x6", "words", words, 3600, text_lr=1.2e-3, vision_lr=0.0, warmup_steps=40, decay_share=0.6),
            Stage("vision 12x12", "vision", vision, 6000, 0.0, 1.2e-3, warmup_steps=40, decay_share=0.8),
            Stage("talk, tower frozen", "joint", frozen, 4000, 1.2e-3, 0.0, 40, 0.7, perfect_share=0.9),
            Stage("talk 12x12", "joint", talk, 800, text_lr=5e-4, vision_lr=2e-4, warmup_steps=30, decay_share=0.9),
        ),
    )


def nano_recipe() -> TrainingConfig:
    """assets/stamp-nano, from the backbone: masks on its tower, frozen, then on a coarse grid, then on a fine one.

    Straight on pictures the masks stand still for hundreds of steps at "any object".
    """
    first = BatchPlan(12, 4, 1, 1, 4, 6 * 10**8, TRAINING_STYLES, requests=0.4)
    coarse = BatchPlan(12, 4, 1, 1, 6, 3 * 10**8, TRAINING_STYLES)
    fine = BatchPlan(24, 4, 1, 1, 6, 4 * 10**8, TRAINING_STYLES)
    return TrainingConfig(
        stages=(
            Stage("masks, tower frozen", "joint", first, 800, 1e-3, 0.0, 40, 0.6, perfect_share=0.9),
            Stage("masks 12x12", "joint", coarse, 2000, 7e-4, 3e-4, warmup_steps=60, decay_share=0.7),
            Stage("masks 24x24", "joint", fine, 300, text_lr=3e-4, vision_lr=2e-4, warmup_steps=30),
        ),
    )


RECIPES = {"backbone": backbone_recipe, "nano": nano_recipe}

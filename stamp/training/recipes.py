"""The committed recipes: which stages make which checkpoint."""

from stamp.training.config import Stage, TrainingConfig
from stamp.training.data import BatchPlan
from stamp.training.vocabulary import TRAINING_STYLES


def backbone_recipe() -> TrainingConfig:
    """assets/nano-backbone: it talks and has never been asked for a mask's pixels.

    Words on perfect features, then the vision tower, then words on that tower, frozen, whose features are what costs
    the least of such a step: first with much of perfect features, then with little. The scenes of each stage start at
    their own seed.
    """
    words = BatchPlan(6, 8, 0, 1, 6, 10**8, TRAINING_STYLES, checklists=0.3, requests=0.3)
    vision = BatchPlan(12, 32, 0, 0, 0, 10**6, TRAINING_STYLES)
    frozen = BatchPlan(12, 8, 0, 1, 6, 5 * 10**8, TRAINING_STYLES, checklists=0.25, requests=0.35)
    talk = BatchPlan(12, 8, 0, 1, 6, 7 * 10**8, TRAINING_STYLES, checklists=0.2, requests=0.35)
    return TrainingConfig(
        stages=(
            Stage("words 6x6", "words", words, 3600, text_lr=1.2e-3, vision_lr=0.0, warmup_steps=40, decay_share=0.6),
            Stage("vision 12x12", "vision", vision, 6000, 0.0, 1.2e-3, warmup_steps=40, decay_share=0.8),
            Stage("talk 12x12", "joint", frozen, 2600, 1.2e-3, 0.0, 40, 0.9, perfect_share=0.9),
            Stage("talk, less helped", "joint", talk, 4000, 6e-4, 0.0, 40, 1.0, perfect_share=0.3),
        ),
    )


def nano_recipe() -> TrainingConfig:
    """assets/stamp-nano, from the backbone: masks on a coarse grid, the tower once more by itself, masks for long on
    that tower, frozen, then on a fine grid.

    The first stage is what `python -m benchmarks train --method stamp` does. The shipped one took the second and third
    in several runs (its card), and not the last.
    """
    coarse = BatchPlan(12, 4, 1, 1, 6, 6 * 10**8, TRAINING_STYLES)
    vision = BatchPlan(12, 32, 0, 0, 0, 33 * 10**7, TRAINING_STYLES)
    long = BatchPlan(12, 6, 1, 1, 6, 3 * 10**8, TRAINING_STYLES, checklists=0.2, requests=0.35)
    fine = BatchPlan(24, 4, 1, 1, 6, 4 * 10**8, TRAINING_STYLES)
    return TrainingConfig(
        stages=(
            Stage("masks 12x12", "joint", coarse, 500, text_lr=2e-4, vision_lr=1e-4, warmup_steps=25, decay_share=0.5),
            Stage("vision, again", "vision", vision, 4300, 0.0, 8e-4, warmup_steps=40, decay_share=0.9),
            Stage("masks, tower frozen", "joint", long, 8000, 3e-4, 0.0, 40, 0.6, perfect_share=0.25),
            Stage("masks 24x24", "joint", fine, 300, text_lr=3e-4, vision_lr=2e-4, warmup_steps=30),
        ),
    )


RECIPES = {"backbone": backbone_recipe, "nano": nano_recipe}

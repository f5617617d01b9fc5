"""The committed recipes: which stages make which checkpoint.

    words      the text model, on the features of a perfect vision tower
    eyes       the vision tower, which learns to give such features
    backbone   dialogue on that vision tower, no masks: assets/nano-backbone
    nano       masks: assets/stamp-nano
    longer     the same for a trained nano, on other scenes and at half the rate
    finer-eyes the vision tower of a trained nano on 16 x 16 cells
    finer      masks and words on that tower
    fluent     the same for longer, with twice as many exchanges about each picture
    fluent-again  the same on other scenes
    polish     the same, briefly and at a low rate; assets/stamp-nano is the mean of the last two (`average`)

`words` and `eyes` are independent and can run at the same time; `backbone` starts from both, `nano` from the backbone,
or from a vision tower joined with the text model of an earlier nano. Each stage has its own scenes.
"""

from dataclasses import replace

from stamp.training.learning.config import Stage, TrainingConfig
from stamp.training.learning.data import BatchPlan
from stamp.training.scenes.art import PHOTO_STYLE
from stamp.training.scenes.vocabulary import TRAINING_STYLES

STYLES = (*TRAINING_STYLES, PHOTO_STYLE)


def words_recipe() -> TrainingConfig:
    """Words on perfect features, on a coarse grid, which is cheapest; then masks too."""
    words = BatchPlan(6, 8, 0, 1, 6, 10**8, STYLES, checklists=0.3, requests=0.3, photographs=0.25)
    masks = BatchPlan(12, 4, 1, 1, 6, 2 * 10**8, STYLES, checklists=0.15, requests=0.35, photographs=0.3)
    return TrainingConfig(
        (
            Stage("words 6x6", "words", words, 450, 1e-3, 0.0, warmup_steps=40, decay_share=0.6),
            Stage("words and masks 12x12", "words", masks, 800, 6e-4, 0.0, warmup_steps=30, decay_share=0.8),
        )
    )


def eyes_recipe() -> TrainingConfig:
    """The vision tower, with photographs nearly half of the time."""
    plan = BatchPlan(12, 16, 0, 0, 0, 10**6, STYLES, photographs=0.4, hardened=0.25, crowds=0.6)
    return TrainingConfig((Stage("eyes 12x12", "vision", plan, 2600, 0.0, 5e-4, warmup_steps=60, decay_share=0.8),))


def backbone_recipe() -> TrainingConfig:
    """Dialogue without any mask training: words on the frozen tower, with less and less help."""
    plan = BatchPlan(12, 6, 0, 1, 6, 5 * 10**8, STYLES, checklists=0.2, requests=0.35, photographs=0.35)
    stage = Stage("talk 12x12", "joint", plan, 500, 5e-4, 0.0, 40, 0.9, teacher_mix=0.3)
    return TrainingConfig((stage,))


def nano_recipe() -> TrainingConfig:
    """Masks and words on the frozen tower."""
    plan = BatchPlan(
        12, 6, 1, 1, 6, 3 * 10**8, STYLES, checklists=0.15, requests=0.35, photographs=0.4, hardened=0.15, crowds=0.4
    )
    return TrainingConfig((Stage("masks 12x12", "joint", plan, 1000, 4e-4, 0.0, 40, 0.8, teacher_mix=0.25),))


def longer_recipe() -> TrainingConfig:
    """Masks and words again; the vision tower stays frozen."""
    (nano,) = nano_recipe().stages
    plan = replace(nano.plan, seed_offset=8 * 10**8)
    return TrainingConfig((Stage("masks 12x12, longer", "joint", plan, 600, 2e-4, 0.0, 60, 0.9, teacher_mix=0.15),))


def finer_eyes_recipe() -> TrainingConfig:
    """The tower of a trained nano on a finer grid, where small things cover whole cells."""
    plan = BatchPlan(16, 16, 0, 0, 0, 92 * 10**7, STYLES, photographs=0.35, hardened=0.2, crowds=0.6)
    return TrainingConfig((Stage("eyes 16x16", "vision", plan, 520, 0.0, 2e-4, warmup_steps=30, decay_share=0.9),))


def finer_recipe() -> TrainingConfig:
    """Masks and words on the finer tower, which stays frozen."""
    (nano,) = nano_recipe().stages
    plan = replace(nano.plan, grid=16, seed_offset=95 * 10**7, photographs=0.35)
    return TrainingConfig((Stage("masks 16x16", "joint", plan, 380, 3e-4, 0.0, 40, 0.9, teacher_mix=0.15),))


def fluent_recipe() -> TrainingConfig:
    """Masks and words on the finer tower again, with more talk: most tokens of a row are the picture anyway.

    Most questions are the first about their picture, as most of a visitor's are. Before, the first was nearly always a
    request for something that is there, in a mask row, so the model found whatever was asked first. Half the rate: at
    the rate of `finer`, a hundred steps undo much of what it learned.
    """
    (finer,) = finer_recipe().stages
    plan = replace(
        finer.plan, exchanges_per_text_row=12, requests=0.2, checklists=0.1, apart=0.8, seed_offset=97 * 10**7
    )
    return TrainingConfig((replace(finer, name="masks 16x16, more talk", plan=plan, steps=800, text_lr=1.5e-4),))


def fluent_again_recipe() -> TrainingConfig:
    """`fluent` on other scenes, because its losses were still falling; and sizes and places were what it knew least."""
    (fluent,) = fluent_recipe().stages
    plan = replace(fluent.plan, requests=0.25, comparing=True, seed_offset=98 * 10**7)
    return TrainingConfig((replace(fluent, name="masks 16x16, more talk again", plan=plan, steps=1100),))


def polish_recipe() -> TrainingConfig:
    """`fluent-again` for a little longer, after more phrasings of "Where is it?" had been added."""
    (again,) = fluent_again_recipe().stages
    plan = replace(again.plan, seed_offset=99 * 10**7)
    return TrainingConfig((replace(again, name="masks 16x16, polish", plan=plan, steps=280, text_lr=1e-4),))


RECIPES = {
    "words": words_recipe,
    "eyes": eyes_recipe,
    "backbone": backbone_recipe,
    "nano": nano_recipe,
    "longer": longer_recipe,
    "finer-eyes": finer_eyes_recipe,
    "finer": finer_recipe,
    "fluent": fluent_recipe,
    "fluent-again": fluent_again_recipe,
    "polish": polish_recipe,
}

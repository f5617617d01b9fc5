"""Compares vision towers that learn from the same pictures with the same small budget.

Each starts from the tower of a checkpoint that knows drawings only. What they see is measured on photographs and on
drawings that no training shows: each cell of the grid is named, and the cells of a noun are compared with its pixels,
so that grids of different sizes can be compared. Rows first, scores from the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from stamp.model.configuration_stamp import VisionStem
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.pictures.masks import intersection_over_union
from stamp.training.card.evaluate import interval_of_mean
from stamp.training.card.study import measured_once, write_results
from stamp.training.learning.batch import Batch
from stamp.training.learning.checkpoint import read_weights
from stamp.training.learning.config import Stage, TrainingConfig
from stamp.training.learning.data import SHAPES_CELLS, BatchPlan
from stamp.training.learning.nano import CELL_PX, image_processor
from stamp.training.learning.objectives import NounFeatures
from stamp.training.learning.processes import TrainingProcesses
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.photographs import PHOTOGRAPH, Photograph, PhotoLibrary, photograph_scene
from stamp.training.scenes.scene_config import SceneConfig
from stamp.training.scenes.scenes import VALIDATION_SEEDS, Scene, compose_scene

ROWS_FILE, RECORD_FILE = "eyes.jsonl", "eyes.json"
#: Scenes for training and for measuring; no other stage uses them.
TRAIN_OFFSET, VALIDATION_OFFSET = 7 * 10**8, 4 * 10**5
#: Weight of a teacher's nouns, relative to the true ones.
TEACHER_WEIGHT = 1.0


@dataclass(frozen=True)
class Eyes:
    """A vision tower of the comparison. about: in words; grid: cells per side; has_teacher: see `EyesTrainer`."""

    about: str
    stem: VisionStem = "efficientnet-lite0"
    grid: int = 12
    has_teacher: bool = False


EYES = {
    "patches": Eyes("the patch projection, as in the published models", "patches"),
    "patches, taught": Eyes(
        "the same, which also learns what a tower with a stem sees (stamp-nano's)", "patches", 12, True
    ),
    "stem": Eyes("EfficientNet-lite0, pretrained on ImageNet, beside the patch projection"),
    "stem, 16 x 16": Eyes("the same on a finer grid, with 256 instead of 144 cells", grid=16),
}


@dataclass(frozen=True)
class EyesPlan:
    """The equal budget: steps of `images` pictures, then `pictures` of each source to measure.

    start: the checkpoint that gives the tower and the words. teacher: a checkpoint whose tower has a stem.
    """

    start: Path
    teacher: Path
    styles: tuple[str, ...]
    steps: int = 300
    images: int = 16
    pictures: int = 200
    rate: float = 5e-4
    eyes: dict[str, Eyes] = field(default_factory=lambda: EYES)

    def config(self, eyes: Eyes) -> TrainingConfig:
        """One stage for the vision tower, with photographs half of the time."""
        plan = BatchPlan(eyes.grid, self.images, 0, 0, 0, TRAIN_OFFSET, self.styles, photographs=0.5, crowds=0.5)
        stage = Stage("eyes", "vision", plan, self.steps, 0.0, self.rate, max(1, self.steps // 20), 0.8)
        return TrainingConfig((stage,), log_every=min(20, self.steps), vision_stem=eyes.stem)


@dataclass(frozen=True)
class Pictures:
    """Drawings and photographs for training, and others that training does not show."""

    art: ArtLibrary
    photos: PhotoLibrary
    unseen_art: ArtLibrary
    unseen_photos: Sequence[Photograph]


@dataclass
class EyesTrainer(Trainer):
    """Trains one tower. A tower without a stem keeps the pixel values that it knows.

    With a teacher it also learns the nouns that the teacher sees in each cell, with their probabilities
    (arXiv 1503.02531).
    """

    eyes: Eyes = EYES["stem"]
    teacher_from: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eyes.stem == "patches" and self.vision_from:
            known = image_processor(self.eyes.grid, StampProcessor.read_image_processor(self.vision_from))
            self.processor = StampProcessor(self.processor.tokenizer, known)
        self.teacher: StampForSegmentation | None = None
        if self.eyes.has_teacher and self.teacher_from:
            self.teacher = read_weights(StampForSegmentation, self.teacher_from).eval()
            self.teacher.to(self.device)  # type: ignore[arg-type]
            processor = StampProcessor.from_pretrained(self.teacher_from)
            self.teacher_images = processor.image_processor
            self.teacher_nouns = NounFeatures(processor, self.teacher, Lexicon.of(self.art.nouns)).to(self.device)

    def vision_losses(self, batch: Batch, embeds: Tensor, ideal: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """As the parent; with a teacher also the cross-entropy with its probabilities."""
        losses = super().vision_losses(batch, embeds, ideal, logits)
        if self.teacher is None:
            return losses
        assert batch.pixel_values is not None
        with torch.no_grad():
            pixels = renormalized(batch.pixel_values, self.processor.image_processor, self.teacher_images)
            features = torch.stack(self.teacher.encode_images(pixels, batch.grid_thw))
            embeddings: Any = self.teacher.get_input_embeddings().weight
            seen = self.teacher_nouns.classify(features, embeddings).softmax(-1)
        taught = TEACHER_WEIGHT * functional.cross_entropy(logits.flatten(0, 1), seen.flatten(0, 1))
        return {**losses, "taught": taught}


def renormalized(pixel_values: Tensor, ours: Any, theirs: Any) -> Tensor:
    """(patches, C * T * P * P) pixels of one image processor as another would give them."""
    mean, std, their_mean, their_std = (
        torch.tensor(values, dtype=pixel_values.dtype, device=pixel_values.device).view(3, 1)
        for values in (ours.image_mean, ours.image_std, theirs.image_mean, theirs.image_std)
    )
    channels = pixel_values.view(len(pixel_values), 3, -1)
    return ((channels * std + mean - their_mean) / their_std).view_as(pixel_values)


def run_eyes(plan: EyesPlan, pictures: Pictures, out: Path, processes: TrainingProcesses) -> list[dict[str, Any]]:
    """Train and measure all eyes that were not measured before. Rows: eyes, source, seed, IoU."""

    def train_and_measure(name: str, folder: Path) -> list[dict[str, Any]]:
        eyes = plan.eyes[name]
        trainer = EyesTrainer(
            plan.config(eyes),
            pictures.art,
            folder,
            processes.device,
            text_from=plan.start,
            vision_from=plan.start,
            photographs=pictures.photos,
            processes=processes,
            eyes=eyes,
            teacher_from=plan.teacher,
        )
        trainer.resume()
        trainer.run()
        scenes = [*unseen_photographs(pictures, plan, eyes), *unseen_drawings(pictures, plan, eyes)]
        return [{"eyes": name, **row} for row in measure(trainer, scenes)]

    return measured_once(plan.eyes, ROWS_FILE, out, train_and_measure)


def unseen_photographs(pictures: Pictures, plan: EyesPlan, eyes: Eyes) -> Iterator[Scene]:
    """Whole photographs, drawn evenly, at about their own shape."""
    usable = [photo for photo in pictures.unseen_photos if photo.has_masks]
    chosen = np.random.default_rng(0).permutation(len(usable))[: plan.pictures]
    for number in chosen.tolist():
        with Image.open(usable[number].path) as picture:
            ratio = picture.width / picture.height
        rows, columns = min(SHAPES_CELLS[eyes.grid], key=lambda shape: abs(np.log(shape[1] / shape[0] / ratio)))
        scene = photograph_scene(usable[number], number, columns * CELL_PX, rows * CELL_PX, crop=False)
        if scene is not None:
            yield scene


def unseen_drawings(pictures: Pictures, plan: EyesPlan, eyes: Eyes) -> Iterator[Scene]:
    """Composed scenes in styles that training does not show."""
    rows, columns = SHAPES_CELLS[eyes.grid][0]
    config = SceneConfig(tuple(pictures.unseen_art.styles), width=columns * CELL_PX, height=rows * CELL_PX)
    first = VALIDATION_SEEDS.start + VALIDATION_OFFSET
    return (compose_scene(first + number, pictures.unseen_art, config) for number in range(plan.pictures))


@torch.no_grad()
def measure(trainer: Trainer, scenes: Sequence[Scene]) -> Iterator[dict[str, Any]]:
    """For each scene the mean IoU of the nouns that it shows."""
    trainer.model.eval()
    lexicon = Lexicon.of(trainer.art.nouns)
    embeddings: Any = trainer.model.get_input_embeddings().weight
    images = StampProcessor(trainer.processor.tokenizer, image_processor(None, trainer.processor.image_processor))
    for scene in scenes:
        pixels, grid_thw = images.encode_image(Image.fromarray(scene.image))
        (features,) = trainer.model.encode_images(pixels.to(trainer.device), grid_thw.to(trainer.device))
        named = trainer.nouns.classify(features.unsqueeze(0), embeddings)[0].argmax(-1).cpu().numpy()
        source = "photographs" if scene.objects[0].style == PHOTOGRAPH else "drawings"
        yield {"source": source, "seed": scene.seed, "iou": noun_iou(scene, named, lexicon)}


def noun_iou(scene: Scene, named: np.ndarray, lexicon: Lexicon) -> float:
    """Mean over the nouns of a scene: IoU of the cells named so, (P,) numbers of nouns, with the noun's pixels."""
    height, width = scene.labels.shape
    cells = named.reshape(height // CELL_PX, width // CELL_PX).repeat(CELL_PX, 0).repeat(CELL_PX, 1)
    shown: dict[Noun, list[int]] = {}
    for item in scene.objects:
        shown.setdefault(item.noun, []).append(item.mask_id)
    ious = [
        intersection_over_union(cells == lexicon.numbers[noun], np.isin(scene.labels, ids))
        for noun, ids in shown.items()
    ]
    return float(np.mean(ious))


def write_eyes(rows: Sequence[dict[str, Any]], provenance: dict[str, Any], folder: Path) -> str:
    """Write `eyes.jsonl` and `eyes.json` (scores with intervals) into a folder; returns the table."""
    ious: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        ious.setdefault(row["eyes"], {}).setdefault(row["source"], []).append(row["iou"])
    scores = {name: {source: interval_of_mean(found) for source, found in by.items()} for name, by in ious.items()}
    record = {"provenance": provenance, "scores": scores}
    write_results(rows, ROWS_FILE, record, RECORD_FILE, folder)
    return eyes_table(record)


def eyes_table(record: dict[str, Any]) -> str:
    """Markdown: one line per vision tower."""
    lines = ["| vision tower | what it is | photographs | drawings |", "|---|---|---|---|"]
    for name, scores in record["scores"].items():
        cells = [
            "{mean:.3f} [{low:.3f}, {high:.3f}], n {n}".format(**scores[source])
            for source in ("photographs", "drawings")
        ]
        lines.append(f"| {name} | {EYES[name].about} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)

"""Untrained checkpoints of the nano's architecture, for tests of the methods that are compared."""

from pathlib import Path

from benchmarks.baselines.embedding import EmbeddingForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.checkpoint import export_checkpoint
from stamp.training.learning.nano import build_model, build_processor, image_processor
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.vocabulary import taught_nouns


def make_processor(grid: int = 6) -> StampProcessor:
    """The nano's, for pictures of about `grid` cells a side."""
    processor = build_processor(Lexicon.of(taught_nouns()))
    processor.image_processor = image_processor(grid)
    return processor


def write_backbone(folder: Path) -> Path:
    """As polygon, patch_text and stamp have it."""
    processor = make_processor()
    export_checkpoint(build_model(processor, 0), processor, folder)
    return folder


def write_embedding(folder: Path) -> Path:
    """With a mask decoder."""
    processor = make_processor()
    export_checkpoint(EmbeddingForSegmentation.from_backbone(build_model(processor, 0)), processor, folder)
    return folder


def named_checkpoints(folders: dict[str, Path]) -> list[str]:
    """The options of the command line that name these, by method."""
    return [f"--{name.replace('_', '-')}-model={folder}" for name, folder in folders.items()]

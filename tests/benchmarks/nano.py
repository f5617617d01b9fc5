"""Untrained checkpoints of the nano's architecture, for tests of the methods that are compared."""

from pathlib import Path

from benchmarks.baselines.embedding import EmbeddingForSegmentation
from stamp.training.nano import build_model, build_processor, image_processor
from stamp.training.trainer import export_checkpoint
from tests.training.conftest import LEXICON


def write_backbone(folder: Path, grid: int = 6) -> Path:
    """As polygon, patch_text and stamp have it."""
    processor = build_processor(LEXICON)
    processor.image_processor = image_processor(grid)
    export_checkpoint(build_model(processor, 0), processor, folder)
    return folder


def write_embedding(folder: Path, grid: int = 6) -> Path:
    """With a mask decoder."""
    processor = build_processor(LEXICON)
    processor.image_processor = image_processor(grid)
    export_checkpoint(EmbeddingForSegmentation.from_backbone(build_model(processor, 0)), processor, folder)
    return folder

"""Untrained, narrow checkpoints of the nano's kind, for tests of the methods that are compared."""

from pathlib import Path

from benchmarks.baselines.embedding import EmbeddingForSegmentation
from benchmarks.baselines.location_tokens import add_tokens
from benchmarks.baselines.patch_tokens import PatchTokens
from benchmarks.baselines.polygon_tokens import PolygonTokens
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.checkpoint import export_checkpoint
from stamp.training.learning.nano import build_processor, image_processor
from tests.narrow import narrow_model, write_narrow
from tests.training.conftest import LEXICON


def make_processor(grid: int = 6) -> StampProcessor:
    """Few words, for pictures of about `grid` cells a side."""
    processor = build_processor(LEXICON)
    processor.image_processor = image_processor(grid)
    return processor


def write_backbone(folder: Path) -> Path:
    """As stamp has it."""
    return write_narrow(folder, make_processor())


def write_writer(folder: Path) -> Path:
    """With the location tokens of polygon and of patch_text."""
    processor = make_processor()
    model = narrow_model(processor)
    for form in (PolygonTokens(), PatchTokens()):
        add_tokens(model, processor, form)
    export_checkpoint(model, processor, folder)
    return folder


def write_embedding(folder: Path) -> Path:
    """With a mask decoder."""
    processor = make_processor()
    export_checkpoint(EmbeddingForSegmentation.from_backbone(narrow_model(processor)), processor, folder)
    return folder


def write_shared(folder: Path) -> Path:
    """With a shared mask head."""
    processor = make_processor()
    model = narrow_model(processor)
    model.share_mask_tokens()
    export_checkpoint(model, processor, folder)
    return folder


def named_checkpoints(folders: dict[str, Path]) -> list[str]:
    """The options of the command line that name these, by method."""
    return [f"--{name.replace('_', '-')}-model={folder}" for name, folder in folders.items()]

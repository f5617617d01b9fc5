from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.nano import build_processor
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.vocabulary import load_vocabulary
from tests.narrow import write_narrow

STYLES = ("round", "edgy")
NOUN = {noun.name: noun for noun in load_vocabulary()}
#: Few, but of all kinds: groups and doubtful members, synonyms, colours, what is not counted, taxis that are cars.
NOUNS = tuple(
    NOUN[name]
    for name in ("apple", "banana", "tomato", "grapes", "bread", "bee", "cat", "cow", "duck")
    + ("car", "taxi", "bus", "guitar")
)
LEXICON = Lexicon.of(NOUNS)


@pytest.fixture(scope="session")
def library() -> ArtLibrary:
    """The nouns drawn as ellipses and triangles, and one panorama: blue above the horizon, green below."""
    sprites: dict[tuple[str, str], np.ndarray] = {}
    for index, noun in enumerate(NOUNS):
        for style in STYLES:
            image = Image.new("RGBA", (80 + 8 * index, 120))
            pen, fill = ImageDraw.Draw(image), (20 * index, 200 - 15 * index, 120, 255)
            if style == "round":
                pen.ellipse((0, 0, image.width - 1, 119), fill=fill)
            else:
                pen.polygon([(0, 119), (image.width - 1, 119), (image.width // 2, 0)], fill=fill)
            sprites[style, noun.name] = np.array(image)
    panorama = np.zeros((32, 64, 3), np.uint8)
    panorama[:16], panorama[16:] = (0, 0, 255), (0, 255, 0)
    return ArtLibrary.from_arrays(sprites, NOUNS, [panorama])


@pytest.fixture(scope="session")
def processor() -> StampProcessor:
    """The tokenizer of those nouns."""
    return build_processor(LEXICON)


@pytest.fixture(scope="session")
def narrow(processor: StampProcessor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint to train from, in milliseconds a step; tests only read it."""
    return write_narrow(tmp_path_factory.mktemp("narrow") / "model", processor)

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stamp.training.art import ArtLibrary
from stamp.training.nouns import NOUNS

STYLES = ("round", "edgy")


@pytest.fixture(scope="session")
def library() -> ArtLibrary:
    """Six nouns drawn as ellipses and triangles, and one panorama: blue above the horizon, green below."""
    sprites: dict[tuple[str, str], np.ndarray] = {}
    for index, noun in enumerate(NOUNS[:6]):
        for style in STYLES:
            image = Image.new("RGBA", (80 + 20 * index, 120))
            pen, fill = ImageDraw.Draw(image), (40 * index, 200 - 30 * index, 120, 255)
            if style == "round":
                pen.ellipse((0, 0, image.width - 1, 119), fill=fill)
            else:
                pen.polygon([(0, 119), (image.width - 1, 119), (image.width // 2, 0)], fill=fill)
            sprites[style, noun.name] = np.array(image)
    panorama = np.zeros((32, 64, 3), np.uint8)
    panorama[:16], panorama[16:] = (0, 0, 255), (0, 255, 0)
    return ArtLibrary.from_arrays(sprites, NOUNS[:6], [panorama])

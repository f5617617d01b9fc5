"""Contact sheets for inspection: scenes with their masks, and the vocabulary with every drawing of every noun."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.scenes import Scene

MASK_COLOURS = np.array(
    [(0, 0, 0), (230, 60, 60), (60, 200, 80), (70, 110, 240), (240, 200, 50), (200, 80, 220)]
    + [(60, 210, 220), (250, 140, 40), (160, 160, 160)],
    np.uint8,
)

TILE_PX = 56
TILES_IN_A_ROW = 12
LABEL_PX = 150
BACKDROP = (226, 226, 222)


def contact_sheet(scenes: Sequence[Scene], columns: int = 6) -> Image.Image:
    """The scenes side by side in rows of `columns`, each above a copy with its masks in colour."""
    if not scenes or columns < 1:
        raise ValueError(f"expected at least one scene and one column, got {len(scenes)} and {columns}")
    height, width = scenes[0].labels.shape
    sheet = Image.new("RGB", (columns * width, -(-len(scenes) // columns) * height * 2))
    for index, scene in enumerate(scenes):
        x, y = index % columns * width, index // columns * height * 2
        tint = MASK_COLOURS[scene.labels]
        overlay = np.where(scene.labels[..., None] > 0, scene.image // 3 + tint // 3 * 2, scene.image // 3)
        sheet.paste(Image.fromarray(scene.image), (x, y))
        sheet.paste(Image.fromarray(overlay.astype(np.uint8)), (x, y + height))
    return sheet


def vocabulary_sheets(art: ArtLibrary, columns: int = 2, rows: int = 30) -> Iterator[Image.Image]:
    """Pages that show each noun of a library: its name, category and colour, and its drawings in order of style.

    A noun with more than `TILES_IN_A_ROW` drawings takes more than one row of tiles; the line under a tile has the
    colour of its style.
    """
    page, x, y = _page(columns, rows), 0, 0
    for noun in art.nouns:
        drawings = [(style, index) for style in art.styles for index in range(art.drawings(style, noun))]
        height = max(1, -(-len(drawings) // TILES_IN_A_ROW)) * TILE_PX
        if y + height > page.height:
            x, y = x + page.width // columns, 0
        if x >= page.width:
            yield page
            page, x = _page(columns, rows), 0
        _draw_noun(page, x, y, noun)
        for place, (style, index) in enumerate(drawings):
            tile = Image.fromarray(art.sprite(style, noun, index))
            tile.thumbnail((TILE_PX - 5, TILE_PX - 5))
            row, column = divmod(place, TILES_IN_A_ROW)
            left, top = x + LABEL_PX + column * TILE_PX, y + row * TILE_PX
            page.paste(tile, (left, top + 2), tile)
            colour = MASK_COLOURS[1 + art.styles.index(style)]
            page.paste(tuple(colour.tolist()), (left, top + TILE_PX - 2, left + TILE_PX - 2, top + TILE_PX))
        y += height
    yield page


def _page(columns: int, rows: int) -> Image.Image:
    return Image.new("RGB", (columns * (LABEL_PX + TILES_IN_A_ROW * TILE_PX), rows * TILE_PX), BACKDROP)


def _draw_noun(page: Image.Image, x: int, y: int, noun: Noun) -> None:
    pen = ImageDraw.Draw(page)
    pen.line((x, y, x + page.width, y), fill=(190, 190, 186))
    pen.text((x + 3, y + 2), noun.name, fill=(0, 0, 0))
    pen.text((x + 3, y + 16), ", ".join(noun.synonyms)[:26], fill=(90, 90, 90))
    pen.text(
        (x + 3, y + 30), ", ".join((noun.category, *noun.kinds, noun.colour)).rstrip(", ")[:26], fill=(150, 60, 20)
    )

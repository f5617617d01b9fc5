"""Outlines drawn by an independent renderer are the masks."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import resvg_py
from PIL import Image

from demo.chat.svg import masks_svg, outline_svg
from stamp.pictures.masks import Mask

HEIGHT, WIDTH = 90, 120


def rendered(mask: Mask) -> Mask:
    """What the SVG of a mask covers."""
    svg = masks_svg(["it"], [mask], (mask.shape[1], mask.shape[0]))
    picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg))))
    covered: Mask = np.asarray(picture.convert("RGBA"))[..., 3] >= 128
    return covered


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inside: Mask = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return inside


@pytest.mark.parametrize(
    "mask",
    [
        disc(60, 45, 30), disc(60, 45, 30) & ~disc(60, 45, 12), disc(30, 30, 20) | disc(90, 60, 20),
        disc(0, 0, 40), np.ones((HEIGHT, WIDTH), dtype=bool), disc(60, 45, 30) & ~disc(60, 45, 20) | disc(60, 45, 8),
    ],
    ids=["disc", "ring", "two parts", "corner", "everything", "disc in a ring"],
)  # fmt: skip
def test_what_is_drawn_is_the_mask(mask: Mask) -> None:
    found = rendered(mask)
    assert found.shape == mask.shape
    assert (found & mask).sum() / (found | mask).sum() > 0.97


def test_a_rectangle_is_exact() -> None:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[10:31, 20:51] = True
    mask[15:20, 25:30] = False
    assert (rendered(mask) == mask).all()


def test_paths_have_names_that_are_never_markup_and_their_own_colours() -> None:
    mask = disc(60, 45, 10)
    svg = masks_svg(['<script>alert("x")</script>', "cat & dog"], [mask, mask], (WIDTH, HEIGHT))
    titles = [one.text for one in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ['<script>alert("x")</script>', "cat & dog"]
    assert len(set(re.findall(r'fill="(#\w+)"', svg))) == 2


def test_an_empty_mask_is_an_empty_path() -> None:
    assert 'd=""' in masks_svg(["it"], [np.zeros((4, 6), dtype=bool)], (6, 4))


def test_a_single_outline_covers_its_mask_and_is_no_image_to_a_screen_reader() -> None:
    mask = disc(60, 40, 25) & ~disc(60, 40, 9)
    path = re.search(r'd="([^"]+)"', outline_svg(mask))
    assert path is not None
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"><path fill-rule="evenodd" '
    svg = f'{whole}d="{path[1]}"/></svg>'
    covered = np.asarray(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))))[..., 3] >= 128
    assert (covered & mask).sum() > 0.97 * (covered | mask).sum()
    assert outline_svg(mask).startswith(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">')
    assert 'd=""' in outline_svg(np.zeros((4, 4), bool))

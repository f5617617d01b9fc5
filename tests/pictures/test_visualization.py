"""Overlays, against blending by hand; colours, against simulated colour blindness."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageColor

from stamp.pictures.visualization import PALETTE, draw_overlay, mask_colour, text_on

GREY = (100, 100, 100)
# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3).tolist(),
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip


def linear(colour: str) -> NDArray[np.float64]:
    channels = np.array(ImageColor.getrgb(colour)) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def cielab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(to_xyz @ rgb / to_xyz.sum(1), 1e-9))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


def blended(below: object, colour: str, opacity: float) -> NDArray[np.float64]:
    return np.asarray(below) * (1 - opacity) + np.array(ImageColor.getrgb(colour)) * opacity


def boxes(size_hw: tuple[int, int], *corners: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    masks = np.zeros((len(corners), *size_hw), bool)
    for mask, (left, top, right, bottom) in zip(masks, corners, strict=True):
        mask[top:bottom, left:right] = True
    return masks


@pytest.mark.parametrize("vision", VISION)
def test_all_colours_differ_in_every_vision(vision: str) -> None:
    seen = {colour: cielab(np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)) for colour in PALETTE}
    for a, b in combinations(PALETTE, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 25, (a, b)


@pytest.mark.parametrize("colour", PALETTE)
def test_chips_are_readable_on_both_themes(colour: str) -> None:
    assert contrast(colour, text_on(colour)) > 4.5
    assert contrast(colour, "#ffffff") > 1.4
    assert contrast(colour, "#0b0f19") > 2


@given(st.integers(0, 0xFFFFFF))
def test_text_takes_the_higher_contrast(value: int) -> None:
    colour = f"#{value:06x}"
    other = {"#000000": "#ffffff", "#ffffff": "#000000"}[text_on(colour)]
    assert contrast(colour, text_on(colour)) >= contrast(colour, other)


def test_colours_repeat() -> None:
    assert [mask_colour(i) for i in range(12)] == [*PALETTE, *PALETTE[:2]]
    assert len(set(PALETTE)) == 10
    with pytest.raises(ValueError, match="index must be at least 0"):
        mask_colour(-1)


@given(hnp.arrays(bool, (1, 7, 9)), st.floats(0, 1))
def test_fill_blends_and_leaves_the_rest(masks: NDArray[np.bool_], opacity: float) -> None:
    image = Image.new("RGB", (9, 7), GREY)
    painted = np.asarray(draw_overlay(image, masks, opacity=opacity, outline_px=0))
    np.testing.assert_allclose(
        painted[masks[0]], blended(GREY, PALETTE[0], opacity) * np.ones((masks.sum(), 1)), atol=1.5
    )
    assert (painted[~masks[0]] == GREY).all()
    assert set(np.unique(np.asarray(image))) == {100}


@given(hnp.arrays(bool, (8, 10)), st.integers(1, 3))
def test_outline_is_every_mask_pixel_near_the_outside(mask: NDArray[np.bool_], width: int) -> None:
    painted = np.asarray(draw_overlay(Image.new("RGB", (10, 8), GREY), mask[None], opacity=0, outline_px=width))
    for y, x in np.ndindex(8, 10):
        near = mask[max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
        expected = ImageColor.getrgb(PALETTE[0]) if mask[y, x] and not near.all() else GREY
        assert tuple(painted[y, x]) == expected


@pytest.mark.parametrize(("size_wh", "width"), [((40, 30), 1), ((900, 600), 2), ((1200, 3000), 4)])
def test_outline_grows_with_the_image(size_wh: tuple[int, int], width: int) -> None:
    masks = boxes(size_wh[::-1], (10, 10, 30, 25))
    image = Image.new("RGB", size_wh, GREY)
    assert draw_overlay(image, masks).tobytes() == draw_overlay(image, masks, outline_px=width).tobytes()


def test_small_masks_stay_on_top_with_their_own_colour() -> None:
    masks = boxes((20, 20), (8, 8, 12, 12), (0, 0, 20, 20), (4, 4, 16, 16))
    image = Image.new("RGB", (20, 20), GREY)
    painted = draw_overlay(image, masks, opacity=1, outline_px=0)
    seen = [painted.getpixel(place) for place in ((10, 10), (1, 1), (5, 5))]
    assert seen == [ImageColor.getrgb(mask_colour(i)) for i in range(3)]


def test_hidden_masks_keep_the_colours_of_the_others() -> None:
    masks = boxes((6, 6), (0, 0, 3, 3), (3, 3, 6, 6))
    painted = draw_overlay(Image.new("RGB", (6, 6), GREY), masks, opacity=1, visible=[False, True])
    assert painted.getpixel((1, 1)) == GREY
    assert painted.getpixel((4, 4)) == ImageColor.getrgb(PALETTE[1])


@pytest.mark.parametrize("masks", [np.zeros((0, 6, 6), bool), np.zeros((2, 6, 6), bool)])
def test_nothing_to_draw_gives_a_copy(masks: NDArray[np.bool_]) -> None:
    image = Image.new("RGB", (6, 6), GREY)
    painted = draw_overlay(image, masks)
    assert painted.tobytes() == image.tobytes()
    painted.putpixel((0, 0), (1, 2, 3))
    assert image.getpixel((0, 0)) == GREY


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": Image.new("L", (6, 4))}, "image must be RGB, got L"),
        ({"masks": np.zeros((1, 6, 4), bool)}, r"masks must be bool \(S, 4, 6\), got bool \(1, 6, 4\)"),
        ({"masks": np.zeros((4, 6), bool)}, r"masks must be bool \(S, 4, 6\)"),
        ({"masks": np.zeros((1, 4, 6), np.uint8)}, "got uint8"),
        ({"opacity": 1.5}, "opacity must be within 0..1"),
        ({"outline_px": -1}, "outline_px must be at least 0"),
        ({"visible": [True, False]}, "one entry per mask, 1, got 2"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    arguments = {"image": Image.new("RGB", (6, 4)), "masks": np.zeros((1, 4, 6), bool)} | change
    with pytest.raises(ValueError, match=message):
        draw_overlay(**arguments)  # type: ignore[arg-type]

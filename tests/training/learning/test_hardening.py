"""Unusual looks leave the size and the outlines where they are."""

import numpy as np
import pytest
from PIL import Image

from stamp.training.learning.hardening import CHANGES, Change, harden

PICTURE = np.full((48, 64, 3), (200, 60, 40), np.uint8)
PICTURE[12:36, 20:44] = (20, 120, 220)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_keeps_the_edge_of_the_square(change: Change) -> None:
    """The row through the middle changes most where the square begins and ends, within the reach of a blur."""
    picture = change(np.random.default_rng(1), Image.fromarray(PICTURE)).convert("RGB")
    assert picture.size == (64, 48)
    rows = np.asarray(picture).astype(float)[14:34].mean(axis=(0, 2))
    steps = np.abs(rows[3:] - rows[:-3])
    assert abs(int(steps[:30].argmax()) + 1.5 - 20) <= 3
    assert abs(int(steps[30:].argmax()) + 31.5 - 44) <= 3


def test_grey_has_no_colour_and_hue_keeps_brightness() -> None:
    by_name = {change.__name__: change for change in CHANGES}
    rng = np.random.default_rng(0)
    grey = np.asarray(by_name["_grey"](rng, Image.fromarray(PICTURE)).convert("RGB"))
    assert np.ptp(grey.astype(int), axis=2).max() == 0
    turned = np.asarray(by_name["_hue"](rng, Image.fromarray(PICTURE)).convert("RGB"))
    assert np.abs(turned.max(2).astype(int) - PICTURE.max(2)).max() <= 2
    assert not np.array_equal(turned, PICTURE)


def test_one_seed_gives_one_look() -> None:
    first, again = (harden(np.random.default_rng(7), PICTURE) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.dtype == np.uint8

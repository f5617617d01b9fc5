"""GrabCut: what it may change, what it may not, and that it always gives the same."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stamp.pictures.masks import intersection_over_union
from stamp.pictures.resizing import enlarge_logits
from stamp.refinement.grabcut import COLOUR_SIDE_PX, FEWEST_PX, SURE_LOGIT, GrabCutRefiner
from stamp.refinement.refiner import BicubicRefiner, refine_masks
from tests.refinement.test_refiners import noise_image, oracle_logits, smooth_shape, two_colours


def test_leaves_sure_pixels_alone_and_gives_the_sign_to_the_others() -> None:
    """A mask that is half a cell off: what it is not sure of goes to the colour, what it is sure of stays wrong."""
    truth = np.zeros((96, 96), dtype=bool)
    truth[24:72, 24:72] = True
    shifted = np.full((12, 12), -3.0, np.float32)
    shifted[3:9, 4:10] = 3.0
    image = two_colours(truth, 0)
    unsure, _ = refine_masks(shifted[None], image, GrabCutRefiner())
    assert intersection_over_union(unsure[0], truth) > 0.98
    sure, _ = refine_masks(shifted[None] * 4, image, GrabCutRefiner())
    enlarged = enlarge_logits(shifted[None] * 4, (96, 96))[0].numpy()
    beyond = np.abs(enlarged) > SURE_LOGIT
    assert (sure[0][beyond] == (enlarged[beyond] > 0)).all()
    assert not sure[0][24:72, 24].any()


def test_the_same_mask_whatever_was_drawn_before() -> None:
    image = two_colours(smooth_shape(3), 3)
    logits = np.random.default_rng(1).normal(0, 2, (1, 8, 8)).astype(np.float32)
    logits += oracle_logits(smooth_shape(3), (8, 8)) / 2
    first, _ = refine_masks(logits, image, GrabCutRefiner())
    assert (first != refine_masks(logits, image, BicubicRefiner())[0]).any()  # the cut was kept
    cv2.setRNGSeed(12345)
    assert (first == refine_masks(logits, image, GrabCutRefiner())[0]).all()


def test_a_cut_that_is_of_something_else_is_dropped() -> None:
    """In noise colours say nothing; the cut would leave next to nothing of the mask."""
    logits, image = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32), noise_image((33, 21))
    masks, _ = refine_masks(logits, image, GrabCutRefiner())
    assert (masks == refine_masks(logits, image, BicubicRefiner())[0]).all()


def test_too_few_pixels_for_its_colours_are_left_alone() -> None:
    logits = np.full((1, 8, 8), -1.0, np.float32)
    logits[0, 4, 4] = 1.0
    image = noise_image((16, 16))
    masks, _ = refine_masks(logits, image, GrabCutRefiner())
    assert 0 < masks.sum() < FEWEST_PX
    assert (masks == refine_masks(logits, image, BicubicRefiner())[0]).all()


def test_looks_at_a_window_of_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    cut = cv2.grabCut

    def spy(pixels: NDArray[np.uint8], *rest: object) -> object:
        shapes.append(pixels.shape[:2])
        return cut(pixels, *rest)  # type: ignore[call-overload]

    monkeypatch.setattr(cv2, "grabCut", spy)
    logits = np.full((1, 16, 16), -8.0, np.float32)
    logits[0, 4:6, 10:12] = 8.0
    masks, _ = refine_masks(logits, noise_image((2000, 2000)), GrabCutRefiner())
    assert masks.shape == (1, 2000, 2000)
    colours, cut_out = shapes
    assert max(colours) <= 1.5 * COLOUR_SIDE_PX  # every k-th pixel of a window
    cell_px = 512 / 16
    assert [side / cell_px for side in cut_out] == pytest.approx([2 + 2 * 1, 2 + 2 * 1], abs=2)

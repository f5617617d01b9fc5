"""Enlargement of logits against the bicubic formula, and against masks that are known."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from stamp.masks import Mask, coverage_grid, intersection_over_union
from stamp.refinement import enlarge_logits, refine_masks


def smooth_shape(seed: int, size: int = 256) -> Mask:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), size / 12)
    shape: Mask = noise > np.quantile(noise, 0.7)
    return shape


def oracle_logits(mask: Mask, grid_hw: tuple[int, int]) -> NDArray[np.float32]:
    coverage = coverage_grid(mask, grid_hw).clip(0.01, 0.99)
    logits: NDArray[np.float32] = np.log(coverage / (1 - coverage))[None]
    return logits


def cubic_weight(distance: float) -> float:
    """Keys' kernel with a = -0.75, the one torch documents."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def cubic_matrix(pixels: int, cells: int) -> NDArray[np.float64]:
    matrix = np.zeros((pixels, cells))
    for pixel in range(pixels):
        centre = (pixel + 0.5) * cells / pixels - 0.5
        for cell in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            matrix[pixel, min(max(cell, 0), cells - 1)] += cubic_weight(centre - cell)
    return matrix


@pytest.mark.parametrize("size_hw", [(12, 20), (3, 4), (7, 5), (1, 1)])
def test_enlargement_is_bicubic_with_centres_aligned(size_hw: tuple[int, int]) -> None:
    logits = np.random.default_rng(0).normal(size=(2, 3, 4))
    expected = cubic_matrix(size_hw[0], 3) @ logits @ cubic_matrix(size_hw[1], 4).T
    for given in (logits, torch.from_numpy(logits)):
        enlarged = enlarge_logits(given, size_hw)
        assert enlarged.dtype == torch.float32
        np.testing.assert_allclose(enlarged.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("grid_hw", [(16, 16), (24, 20), (32, 32)])
def test_bicubic_beats_nearest(seed: int, grid_hw: tuple[int, int]) -> None:
    truth = smooth_shape(seed)
    logits = oracle_logits(truth, grid_hw)
    coarse = Image.fromarray(logits[0] > 0).resize(truth.shape[::-1], Image.Resampling.NEAREST)
    masks, _ = refine_masks(logits, truth.shape)
    nearest = intersection_over_union(np.asarray(coarse), truth)
    assert nearest + 0.02 < intersection_over_union(masks[0], truth)


def test_masks_scores_shapes_and_types() -> None:
    logits = torch.stack([torch.full((3, 4), 2.0), torch.full((3, 4), -2.0), torch.full((3, 4), torch.nan)])
    masks, scores = refine_masks(logits.bfloat16(), (29, 37))
    assert masks.shape == (3, 29, 37)
    assert masks.dtype == np.bool_
    assert [mask.all() for mask in masks] == [True, False, False]
    assert not masks[1:].any()
    assert scores == [pytest.approx(1 / (1 + np.exp(-2))), None, None]


def test_score_averages_the_enlarged_logits_inside_the_mask() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)
    masks, scores = refine_masks(logits, (33, 21))
    full = enlarge_logits(logits, (33, 21))
    assert (masks == (full > 0).numpy()).all()
    expected = [plane[plane > 0].sigmoid().mean().item() for plane in full]
    assert scores == pytest.approx(expected)


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 2), (1, 150)])
def test_images_smaller_than_the_grid(size_hw: tuple[int, int]) -> None:
    masks, scores = refine_masks(np.ones((1, 6, 5), np.float32), size_hw)
    assert masks.shape == (1, *size_hw)
    assert masks.all()
    assert scores == [pytest.approx(1 / (1 + np.exp(-1)))]


def test_no_masks() -> None:
    masks, scores = refine_masks(np.zeros((0, 6, 5), np.float32), (20, 30))
    assert masks.shape == (0, 20, 30)
    assert scores == []


def test_what_does_not_fit_is_refused() -> None:
    logits = np.zeros((1, 2, 2), np.float32)
    for wrong in (logits[0], logits[:, :0]):
        with pytest.raises(ValueError, match=r"logits must have shape \(S, gh, gw\)"):
            enlarge_logits(wrong, (8, 8))

"""Enlargement of logits against the formulas of bicubic and guided filter, and against masks that are known."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from stamp import StampPredictor, Turn
from stamp.pictures.masks import Mask, coverage_grid, intersection_over_union
from stamp.pictures.resizing import enlarge_logits, fit_size
from stamp.refinement import DEFAULT_REFINER, REFINERS, check_refiner_name, make_refiner
from stamp.refinement.grabcut import GrabCutRefiner
from stamp.refinement.guided import GuidedRefiner
from stamp.refinement.refiner import BicubicRefiner, Refiner, refine_masks

PARITY = Path(__file__).parents[1] / "parity"
every_refiner = pytest.mark.parametrize(
    "refiner", [BicubicRefiner(), GuidedRefiner(), GrabCutRefiner()], ids=lambda r: r.name
)


def blank(size_hw: tuple[int, int]) -> Image.Image:
    return Image.new("RGB", size_hw[::-1], (200, 100, 50))


def noise_image(size_hw: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (*size_hw, 3), dtype=np.uint8))


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
    masks, _ = refine_masks(logits, blank(truth.shape))
    nearest = intersection_over_union(np.asarray(coarse), truth)
    assert nearest + 0.02 < intersection_over_union(masks[0], truth)


@every_refiner
def test_masks_scores_shapes_and_types(refiner: Refiner) -> None:
    logits = torch.stack([torch.full((3, 4), 2.0), torch.full((3, 4), -2.0), torch.full((3, 4), torch.nan)])
    masks, scores = refine_masks(logits.bfloat16(), noise_image((29, 37)), refiner)
    assert masks.shape == (3, 29, 37)
    assert masks.dtype == np.bool_
    assert [mask.all() for mask in masks] == [True, False, False]
    assert not masks[1:].any()
    assert scores == [pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4), None, None]


@every_refiner
def test_score_averages_the_refined_logits_inside_the_mask(refiner: Refiner) -> None:
    logits, image = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32), noise_image((33, 21))
    masks, scores = refine_masks(logits, image, refiner)
    full = torch.stack(list(refiner(torch.from_numpy(logits), image)))
    assert (full.shape, full.dtype) == ((2, 33, 21), torch.float32)
    assert (masks == (full > 0).numpy()).all()
    expected = [plane[plane > 0].sigmoid().mean().item() for plane in full]
    assert scores == pytest.approx(expected)


@every_refiner
@pytest.mark.parametrize("size_hw", [(1, 1), (3, 2), (1, 150), (150, 2)])
def test_images_smaller_than_the_grid(size_hw: tuple[int, int], refiner: Refiner) -> None:
    masks, scores = refine_masks(np.ones((1, 6, 5), np.float32), noise_image(size_hw), refiner)
    assert masks.shape == (1, *size_hw)
    assert masks.all()
    assert scores == [pytest.approx(1 / (1 + np.exp(-1)), abs=1e-4)]


@every_refiner
def test_one_cell_fills_the_image(refiner: Refiner) -> None:
    masks, _ = refine_masks(np.ones((1, 1, 1), np.float32), noise_image((10, 31)), refiner)
    assert masks.all()


@every_refiner
def test_no_masks(refiner: Refiner) -> None:
    masks, scores = refine_masks(np.zeros((0, 6, 5), np.float32), blank((20, 30)), refiner)
    assert masks.shape == (0, 20, 30)
    assert scores == []


def test_what_does_not_fit_is_refused() -> None:
    logits = np.zeros((1, 2, 2), np.float32)
    for wrong in (logits[0], logits[:, :0]):
        with pytest.raises(ValueError, match=r"logits must have shape \(S, gh, gw\)"):
            enlarge_logits(wrong, (8, 8))
        with pytest.raises(ValueError, match=r"logits must have shape \(S, gh, gw\)"):
            refine_masks(wrong, blank((8, 8)), GuidedRefiner())


def window_means(plane: NDArray[np.float64], radius_yx: tuple[int, int]) -> NDArray[np.float64]:
    """Mean over each pixel's window, (h, w, ...); beyond the border the image is mirrored about its last pixel."""
    (ry, rx), (height, width) = radius_yx, plane.shape[:2]
    padded = np.pad(plane, ((ry, ry), (rx, rx)) + ((0, 0),) * (plane.ndim - 2), mode="reflect")
    return np.array(
        [[padded[y : y + 2 * ry + 1, x : x + 2 * rx + 1].mean((0, 1)) for x in range(width)] for y in range(height)]
    )


def guided_filter(
    guide: NDArray[np.float64], p: NDArray[np.float64], radius_yx: tuple[int, int], eps: float
) -> NDArray[np.float64]:
    """He et al. 2010, equations 19 to 21: a linear model of colour in each window, averaged over windows."""
    mean, mean_p = window_means(guide, radius_yx), window_means(p, radius_yx)
    second = window_means(guide[..., :, None] * guide[..., None, :], radius_yx)
    covariance = second - mean[..., :, None] * mean[..., None, :] + eps * np.eye(3)
    cross = window_means(guide * p[..., None], radius_yx) - mean * mean_p[..., None]
    a = np.linalg.solve(covariance, cross[..., None])[..., 0].astype(np.float64)
    b = mean_p - (a * mean).sum(-1)
    filtered: NDArray[np.float64] = (window_means(a, radius_yx) * guide).sum(-1) + window_means(b, radius_yx)
    return filtered


@pytest.mark.parametrize(("size_hw", "radius_yx"), [((21, 32), (4, 4)), ((12, 40), (2, 5)), ((2, 9), (0, 1))])
def test_guided_is_the_guided_filter_with_half_a_cell(size_hw: tuple[int, int], radius_yx: tuple[int, int]) -> None:
    logits, image = np.random.default_rng(0).normal(0, 3, size=(1, 3, 4)), noise_image(size_hw)
    enlarged = cubic_matrix(size_hw[0], 3) @ logits[0] @ cubic_matrix(size_hw[1], 4).T
    soft = guided_filter(np.asarray(image) / 255, 1 / (1 + np.exp(-enlarged)), radius_yx, eps=1e-4).clip(1e-6, 1 - 1e-6)
    (refined,) = GuidedRefiner()(torch.from_numpy(logits).float(), image)
    np.testing.assert_allclose(refined.sigmoid().numpy(), soft, atol=2e-4)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("grid_hw", [(16, 16), (24, 20)])
def test_guided_and_grabcut_follow_the_edges_of_the_image(seed: int, grid_hw: tuple[int, int]) -> None:
    truth = smooth_shape(seed)
    image = two_colours(truth, seed)
    bicubic, guided, grabcut = (
        intersection_over_union(refine_masks(oracle_logits(truth, grid_hw), image, refiner)[0][0], truth)
        for refiner in (BicubicRefiner(), GuidedRefiner(), GrabCutRefiner())
    )
    assert bicubic + 0.01 < guided
    assert grabcut > 0.99


def two_colours(truth: Mask, seed: int) -> Image.Image:
    grain = np.random.default_rng(seed).normal(0, 4, (*truth.shape, 3))
    colours = np.where(truth[..., None], (180, 90, 60), (90, 130, 60)) + grain
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8))


def test_guided_works_at_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    from kornia.filters import guided_blur

    shapes = []

    def spy(guide: torch.Tensor, soft: torch.Tensor, window: tuple[int, int], *rest: Any, **named: Any) -> Any:
        shapes.append((guide.shape[2:], soft.shape, window))
        return guided_blur(guide, soft, window, *rest, **named)

    monkeypatch.setattr("kornia.filters.guided_blur", spy)
    masks, _ = refine_masks(np.full((6, 8, 16), 3.0, np.float32), blank((1500, 3000)), GuidedRefiner())
    assert shapes == [((512, 1024), (1, together, 512, 1024), (65, 65)) for together in (4, 2)]
    assert masks.shape == (6, 1500, 3000)
    assert masks.all()


@every_refiner
def test_masks_that_are_refined_together_are_those_refined_alone(refiner: Refiner) -> None:
    logits, image = (
        torch.from_numpy(np.random.default_rng(0).normal(0, 3, size=(6, 3, 4))).float(),
        noise_image((21, 32)),
    )
    for together, plane in zip(refiner(logits, image), logits, strict=True):
        (alone,) = refiner(plane[None], image)
        torch.testing.assert_close(together.sigmoid(), alone.sigmoid(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size_hw", "longest_px", "expected"),
    [((300, 300), 1024, (1024, 1024)), ((200, 320), 1024, (640, 1024)), ((341, 500), 256, (175, 256))]
    + [((1, 900), 256, (1, 256)), ((7, 3), 7, (7, 3))],
)
def test_fit_size(size_hw: tuple[int, int], longest_px: int, expected: tuple[int, int]) -> None:
    assert fit_size(size_hw, longest_px) == expected


def test_refiners_by_name() -> None:
    assert list(REFINERS) == ["none", "guided", "grabcut", "sam", "auto"]
    assert make_refiner("none") == BicubicRefiner()
    assert make_refiner("guided", device="meta") == GuidedRefiner("meta")
    assert make_refiner("auto").name == DEFAULT_REFINER == check_refiner_name("auto")
    assert [make_refiner(name).name for name in ("none", "guided", "grabcut")] == ["none", "guided", "grabcut"]


def test_what_cannot_be_made_is_said_in_a_sentence() -> None:
    for refused in (check_refiner_name, make_refiner):
        with pytest.raises(ValueError, match="refine must be one of none, guided, grabcut, sam, auto, got 'Guided'"):
            refused("Guided")
    with pytest.raises(ValueError, match=r"give --sam-model .* the folder or hub id of a transformers SamModel"):
        make_refiner("sam")


def test_names_are_checked_without_loading_torch() -> None:
    check = "import stamp.refinement as r; r.check_refiner_name('sam')"
    command = [sys.executable, "-c", f"{check}; import sys; print({{'torch', 'kornia', 'cv2'}} & set(sys.modules))"]
    assert subprocess.run(command, capture_output=True, text=True, cwd=PARITY.parents[1]).stdout == "set()\n"


def test_an_answer_uses_its_refiner_and_times_it() -> None:
    stamp = StampPredictor.from_pretrained(PARITY / "models" / "tied", device="cpu", dtype="float32")
    image = stamp.encode_image(PARITY / "images" / "land_200x120.png")
    answers = [stamp.begin([Turn("user", "Segment the boat.", image)]) for _ in range(2)]
    answers[0].refiner, answers[1].refiner = BicubicRefiner(), GuidedRefiner()
    for answer in answers:
        answer.force(stamp.processor.encode_response("here <|seg|> and <|seg|>"))
        answer.predict_masks()
        assert answer.clock.passes["refine"] == 1
    plain, guided = (answer.result({}) for answer in answers)
    assert guided.timings_s["refine"] > 0
    for result, refiner in ((plain, BicubicRefiner()), (guided, GuidedRefiner())):
        masks, scores = refine_masks(np.stack(result.mask_logits), image.image, refiner)
        assert (result.masks == masks).all()
        assert result.scores == scores
    assert (plain.masks != guided.masks).any()

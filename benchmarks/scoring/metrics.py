"""Scores of masks, from the intersection and the union of each sample.

gIoU is the mean IoU of the samples; target gIoU is the mean over samples with a target. cIoU is the sum of all
intersections over the sum of all unions, so large objects weigh more. P@t is the share of samples with a target that
reach an IoU of at least t. N-acc is the share of samples without a target for which a usable output has no mask or an
empty one; T-acc is the share of samples with a target for which some pixel was predicted.

If both masks are empty, IoU is 1. An unusable output or a crash has IoU 0 and predicts nothing. Published figures
follow the evaluation of LISA (STAMP's is a copy) or of ReLA (gRefCOCO); `Convention` lists the differences. Two
differences cannot be reproduced from intersections and unions: STAMP's script scores only the first mask of an answer,
where we join all masks; LISA's and STAMP's both count pixels in two overlapping polygons of one object as background.
"""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from benchmarks.scoring.intervals import Statistic, mean, ratio_of_sums
from stamp.pictures.masks import Mask

THRESHOLDS = (0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Convention:
    """How an evaluation computes its scores.

    epsilon: added to each union that is not empty; ciou_epsilon: added to the sum of all unions.
    unusable_is_empty: an unusable output is an empty mask, so it has IoU 1 on a sample without target, not 0; a crash
    still has IoU 0.
    empty_target_iou: the IoU of a sample with a target if its annotation and its prediction have no pixel.
    """

    epsilon: float = 0.0
    ciou_epsilon: float = 0.0
    unusable_is_empty: bool = False
    empty_target_iou: float = 1.0


#: "ours": style of this project. "lisa": LISA's `validate`, in which a perfect mask of A pixels scores A / (A + 1e-5).
#: "gres": ReLA's evaluator, which recognises a sample without target by its label, not by its empty annotation.
CONVENTIONS = MappingProxyType(
    {
        "ours": Convention(),
        "lisa": Convention(epsilon=1e-5, ciou_epsilon=1e-10, unusable_is_empty=True),
        "gres": Convention(empty_target_iou=0.0),
    }
)


def overlap_px(predicted: Mask, truth: Mask, ignore: Mask | None = None) -> tuple[int, int, int]:
    """(intersection, union, predicted) in pixels of bool (H, W) masks, without the pixels of `ignore`.

    Raises ValueError if the shapes differ.
    """
    if not predicted.shape == truth.shape == (truth if ignore is None else ignore).shape:
        raise ValueError(f"masks must have the same shape, got {predicted.shape} and {truth.shape}")
    if ignore is not None:
        predicted, truth = predicted & ~ignore, truth & ~ignore
    counts = (np.count_nonzero(mask) for mask in (predicted & truth, predicted | truth, predicted))
    intersection, union, area = map(int, counts)
    return intersection, union, area


@dataclass(frozen=True)
class Overlaps:
    """Samples as arrays of length n; they may include samples that are not requests for a mask.

    annotated: there is a mask to compare with; the other columns count only where this is true. intersection, union,
    predicted: int64 pixels; an unusable output predicts nothing. no_target: nothing in the picture matches. usable:
    the output could be read. crashed: there is no output.
    """

    annotated: NDArray[np.bool_]
    intersection: NDArray[np.int64]
    union: NDArray[np.int64]
    predicted: NDArray[np.int64]
    no_target: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    crashed: NDArray[np.bool_]

    def ious(self, convention: Convention) -> NDArray[np.float64]:
        """(n,) IoU of each sample, 0..1."""
        empty = self.union == 0
        ious = self.intersection / np.where(empty, 1, self.union + convention.epsilon)
        ious[empty] = np.where(self.no_target[empty], 1.0, convention.empty_target_iou)
        ious[self.crashed if convention.unusable_is_empty else ~self.usable] = 0.0
        return ious


def mask_statistics(overlaps: Overlaps, convention: Convention) -> dict[str, Statistic]:
    """All mask scores, for `benchmarks.scoring.intervals.bootstrap`."""
    ious, every = overlaps.ious(convention), overlaps.annotated
    target, empty = every & ~overlaps.no_target, every & overlaps.no_target
    return {
        "gIoU": mean(ious, every),
        "target gIoU": mean(ious, target),
        "cIoU": ratio_of_sums(overlaps.intersection, overlaps.union, every, convention.ciou_epsilon),
        **{f"P@{threshold}": mean(ious >= threshold, target) for threshold in THRESHOLDS},
        "N-acc": mean((overlaps.predicted == 0) & overlaps.usable, empty),
        "T-acc": mean(overlaps.predicted > 0, target),
    }

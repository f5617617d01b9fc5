"""Scores of masks, from the intersection and the union of each sample.

gIoU is the mean of the samples' IoU, and target gIoU that of the samples with a target alone. cIoU is the sum of all
intersections over the sum of all unions, in which large objects weigh more. P@t is the share of the samples with a
target whose IoU is at least t. N-acc is the share of the samples without a target for which a usable output has no
mask, or an empty one; T-acc that of the others for which some pixel was predicted.

Where both masks are empty, IoU is 1. An unusable output, and a crash, has IoU 0 and predicts nothing. Published
figures follow the evaluation of LISA (which STAMP's is a copy of) or of ReLA (gRefCOCO); `Convention` says what they
do differently. Two habits cannot be had from intersections and unions: STAMP's script scores the first mask of an
answer alone, where ours are joined, and both LISA's and STAMP's count pixels of two overlapping polygons of one object
as background.
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
    """How an evaluation forms its scores.

    epsilon: added to the union of each sample with one; ciou_epsilon: added to the sum of all unions.
    unusable_is_empty: an unusable output is an empty mask, so IoU 1 on a sample without target, instead of 0.
    empty_target_iou: of a sample with a target whose annotation has no pixel, and whose prediction has none.
    """

    epsilon: float = 0.0
    ciou_epsilon: float = 0.0
    unusable_is_empty: bool = False
    empty_target_iou: float = 1.0


#: "ours": style of this project. "lisa": LISA's `validate`, in which a perfect mask of A pixels scores A / (A + 1e-5).
#: "gres": ReLA's evaluator, which knows a sample without target by its label, and not by its empty annotation.
CONVENTIONS = MappingProxyType(
    {
        "ours": Convention(),
        "lisa": Convention(epsilon=1e-5, ciou_epsilon=1e-10, unusable_is_empty=True),
        "gres": Convention(empty_target_iou=0.0),
    }
)


def overlap_px(predicted: Mask, truth: Mask, ignore: Mask | None = None) -> tuple[int, int, int]:
    """(intersection, union, predicted) in pixels of bool (H, W) masks, without the pixels of `ignore`.

    Raises ValueError when the shapes differ.
    """
    if not predicted.shape == truth.shape == (truth if ignore is None else ignore).shape:
        raise ValueError(f"masks must have one shape, got {predicted.shape} and {truth.shape}")
    if ignore is not None:
        predicted, truth = predicted & ~ignore, truth & ~ignore
    counts = (np.count_nonzero(mask) for mask in (predicted & truth, predicted | truth, predicted))
    intersection, union, area = map(int, counts)
    return intersection, union, area


@dataclass(frozen=True)
class Overlaps:
    """Samples as arrays, n of each; samples that are no requests for a mask may stand among them.

    annotated: there is a mask to compare with; the other columns count only where it is. intersection, union,
    predicted: int64 pixels; an unusable output has predicted nothing. no_target: nothing in the picture fits. usable:
    the output could be read.
    """

    annotated: NDArray[np.bool_]
    intersection: NDArray[np.int64]
    union: NDArray[np.int64]
    predicted: NDArray[np.int64]
    no_target: NDArray[np.bool_]
    usable: NDArray[np.bool_]

    def ious(self, convention: Convention) -> NDArray[np.float64]:
        """(n,) IoU of each sample, 0..1."""
        empty = self.union == 0
        ious = self.intersection / np.where(empty, 1, self.union + convention.epsilon)
        ious[empty] = np.where(self.no_target[empty], 1.0, convention.empty_target_iou)
        if not convention.unusable_is_empty:
            ious[~self.usable] = 0.0
        return ious


def mask_statistics(overlaps: Overlaps, convention: Convention) -> dict[str, Statistic]:
    """All scores of masks, for `benchmarks.scoring.intervals.bootstrap`."""
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

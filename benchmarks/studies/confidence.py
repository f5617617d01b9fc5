"""How much a confidence is worth: the share of right masks among answers of each confidence.

A mask's confidence (`stamp.conversation.Segmentation.confidences`) says how sure the model is of the mask and of the
word that announces it. Only answers to requests on pictures that training never saw tell what it is worth; a mask of
something that is not there counts as wrong.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from benchmarks.scoring.intervals import bootstrap, mean
from benchmarks.scoring.records import Record
from benchmarks.scoring.scores import iou_of

#: A mask with at least this IoU is right.
RIGHT_IOU = 0.5
#: Below this share of right masks, an answer is not worth much.
UNSURE_SHARE = 0.5
N_BINS = 8


def calibrate(records: Sequence[Record]) -> dict[str, Any]:
    """The record `confidence.json`.

    points: answers in bins of equal size, by confidence: its mean, and the share of right masks with its interval.
    unsure_below: the confidence below which a mask is more often wrong than right, by isotonic regression. unsure and
    sure: the answers on both sides of it. Raises ValueError if no record has a mask and a confidence.
    """
    answers = [one for one in records if one.confidence is not None and one.union is not None and one.masks]
    if not answers:
        raise ValueError("no record has a mask with a confidence; measure them again with this version")
    answers.sort(key=lambda one: (one.confidence, one.image, one.sample))
    confidences = np.array([one.confidence for one in answers])
    right = np.array([iou_of(one) >= RIGHT_IOU and not one.no_target for one in answers], dtype=float)
    first_sure = int(np.searchsorted(isotonic_regression(right).x, UNSURE_SHARE))
    edges = np.linspace(0, len(answers), min(N_BINS, len(answers)) + 1).round().astype(int)
    return {
        "right_iou": RIGHT_IOU,
        "sets": sorted({f"{one.dataset}/{one.split}" for one in answers}),
        "points": [_point(answers[a:b], right[a:b]) for a, b in pairwise(edges.tolist())],
        "unsure_below": float(confidences[first_sure]) if first_sure < len(answers) else 1.0,
        "unsure": _point(answers[:first_sure], right[:first_sure]),
        "sure": _point(answers[first_sure:], right[first_sure:]),
    }


def _point(answers: Sequence[Record], right: np.ndarray) -> dict[str, Any] | None:
    """Mean confidence, and share of right masks with a bootstrap interval over pictures; None without answers."""
    if not answers:
        return None
    found = bootstrap({"right": mean(right.tolist())}, [one.image for one in answers])["right"]
    confidence = float(np.mean([one.confidence for one in answers]))
    return {"n": len(answers), "confidence": confidence, "right": found.value, "low": found.low, "high": found.high}

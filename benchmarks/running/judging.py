"""Compares a prediction with the right answer and fills in the scores of a record."""

from dataclasses import dataclass

import numpy as np

from benchmarks.datasets.sample import DatasetError, MaskSample, QuestionSample, Sample
from benchmarks.methods.method import Prediction
from benchmarks.scoring.metrics import overlap_px
from stamp.pictures.masks import Mask
from stamp.training.talk.answers import is_right


@dataclass(frozen=True)
class Judgement:
    """Fields of a Record, for a request for a mask or for a question; fields that do not apply are None."""

    intersection: int | None = None
    union: int | None = None
    predicted: int | None = None
    no_target: bool | None = None
    correct: bool | None = None


def judge(sample: Sample, prediction: Prediction | None, size_hw: tuple[int, int]) -> Judgement:
    """Compare. An unusable prediction, or none, counts as an empty mask and a wrong answer.

    All masks of an answer are joined, like all objects of the annotation. size_hw: the picture's.
    Raises DatasetError: the annotation cannot be read, or does not have the picture's size.
    """
    usable = prediction if prediction is not None and prediction.valid else None
    if isinstance(sample, QuestionSample):
        right = usable is not None and is_right(usable.text, sample.prompt, sample.accepted, sample.rivals)
        return Judgement(correct=right)
    assert isinstance(sample, MaskSample)
    truth = sample.truth()
    if truth.mask.shape != size_hw:
        raise DatasetError(
            f"{sample.image.name}: its annotation is for {truth.mask.shape[0]} x {truth.mask.shape[1]} pixels (height "
            f"x width), the picture has {size_hw[0]} x {size_hw[1]}."
        )
    predicted: Mask = np.zeros(size_hw, dtype=bool) if usable is None else np.any(usable.masks, axis=0)
    return Judgement(*overlap_px(predicted, truth.mask, truth.ignore), no_target=sample.no_target)


def judge_unread(sample: Sample) -> Judgement:
    """The fields that are known when a sample's picture or annotation cannot be read."""
    if isinstance(sample, MaskSample):
        return Judgement(no_target=sample.no_target)
    return Judgement(correct=False)

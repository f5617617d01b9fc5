"""Runs methods over samples and yields a record of each answer.

The measured window is the same for every figure: PIL picture and prompt in, boolean masks at the picture's size out,
with the accelerator synchronized at both ends. Reading the picture, drawing the annotation and scoring are outside.
Every method answers a sample of each kind before it is measured. Methods take turns sample by sample, and within each
kind all go first equally often, so that a slow drift of the machine affects all alike.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict

import numpy as np
from PIL import Image

from benchmarks.datasets.sample import DatasetError, QuestionSample, Sample
from benchmarks.instruments import wait_for
from benchmarks.methods.method import Method, Prediction, TalksOnly
from benchmarks.running.judging import Judgement, judge, judge_unread
from benchmarks.scoring.records import Key, Record, Status, encodable
from stamp.pictures.masks import encode_rle


def measure(method: Method, image: Image.Image, prompt: str) -> tuple[Prediction, float]:
    """(answer, seconds of the whole window). Raises ValueError for masks that are not bool (S, H, W)."""
    wait_for(method.device)
    start = time.perf_counter()
    prediction = method.predict(image, prompt)
    wait_for(method.device)
    total_s = time.perf_counter() - start
    masks = prediction.masks
    if masks.dtype != np.bool_ or masks.ndim != 3 or masks.shape[1:] != (image.height, image.width):
        raise ValueError(
            f"{method.name} must give bool masks of shape (S, {image.height}, {image.width}), "
            f"got {masks.dtype} {masks.shape}"
        )
    return prediction, total_s


def run_samples(
    methods: Sequence[Method], samples: Sequence[Sample], done: Collection[Key] = (), warmups: int = 1
) -> Iterator[Record]:
    """Records in the order of measurement, without those already `done`.

    An exception of a method, a picture or an annotation becomes an error record. Stop iterating to stop.
    """
    todo = [sample for sample in samples if any(is_due(sample, method, done) for method in methods)]
    usable = [sample for sample in todo if sample.problem is None]
    warm_up(methods, {sample.kind: sample for sample in reversed(usable)}.values(), warmups)
    turns: Counter[tuple[str, str]] = Counter()
    for number, sample in enumerate(samples):
        asked = [method for method in methods if is_asked(sample, method)]
        first = turns[sample.split, sample.kind] % max(len(asked), 1)
        turns[sample.split, sample.kind] += 1
        waiting = [
            (number * len(methods) + position, method)
            for position, method in enumerate([*asked[first:], *asked[:first]])
            if is_due(sample, method, done)
        ]
        if not waiting:
            continue
        try:
            image = sample.load_image()
        except Exception as error:
            for order, method in waiting:
                yield _record(sample, method, order, judge_unread(sample), error=_sentence(error))
            continue
        for order, method in waiting:
            yield run_sample(method, sample, image, order)


def is_asked(sample: Sample, method: Method) -> bool:
    """Whether a method gets this sample: a method without masks gets only questions."""
    return isinstance(sample, QuestionSample) or not isinstance(method, TalksOnly)


def is_due(sample: Sample, method: Method, done: Collection[Key]) -> bool:
    """Whether a method's answer to this sample still has to be measured."""
    return is_asked(sample, method) and record_key(sample, method) not in done


def record_key(sample: Sample, method: Method) -> Key:
    """`Record.key` of this method's answer to this sample."""
    return sample.dataset, sample.split, sample.id, method.name, method.variant


def warm_up(methods: Sequence[Method], samples: Iterable[Sample], warmups: int) -> None:
    """Let every method answer each sample `warmups` times. A failure recurs in the measurement, which records it."""
    for sample in samples:
        for method in methods:
            for _ in range(warmups if is_asked(sample, method) else 0):
                with suppress(Exception):
                    method.predict(sample.load_image(), method.prompt(sample))


def run_sample(method: Method, sample: Sample, image: Image.Image, order: int) -> Record:
    """One answer, measured and judged."""
    size_hw = image.height, image.width
    prediction, total_s, problem = None, None, None
    try:
        prediction, total_s = measure(method, image, method.prompt(sample))
    except Exception as error:
        problem = _sentence(error)
    try:
        judgement = judge(sample, prediction, size_hw)
    except Exception as error:
        judgement, problem = judge_unread(sample), problem or _sentence(error)
    return _record(sample, method, order, judgement, prediction, total_s, problem)


def _record(
    sample: Sample,
    method: Method,
    order: int,
    judgement: Judgement,
    prediction: Prediction | None = None,
    total_s: float | None = None,
    error: str | None = None,
) -> Record:
    status: Status = "error" if error is not None else "ok" if prediction and prediction.valid else "invalid"
    return Record(
        dataset=sample.dataset,
        split=sample.split,
        sample=sample.id,
        image=sample.image.name,
        kind=sample.kind,
        prompt=method.prompt(sample),
        method=method.name,
        variant=method.variant,
        precision=method.precision,
        status=status,
        order=order,
        text=prediction.text if prediction else None,
        raw_output=prediction.raw_output if prediction else None,
        masks=[encode_rle(mask) for mask in prediction.masks] if prediction else [],
        phases_s=prediction.phases_s if prediction else {},
        total_s=total_s,
        new_tokens=prediction.new_tokens if prediction else None,
        forward_passes=prediction.forward_passes if prediction else None,
        confidence=prediction.confidence if prediction else None,
        error=error,
        **asdict(judgement),
    )


def _sentence(error: Exception) -> str:
    """Errors meant for people unchanged; others with their class name."""
    return encodable(str(error) if isinstance(error, DatasetError) else f"{type(error).__name__}: {error}")

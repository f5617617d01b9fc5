"""Photographs with masks that training never saw (see `stamp.training.scenes.photographs`): `--dataset photos`.

The only split, `heldout`, holds the pictures that each folder's `heldout.txt` names. The requests for each picture:

- segment up to two nouns by name, if their objects together cover at least 3 % of the picture;
- segment one thing that other pictures show and, as far as is known, this one does not;
- "Is there ...?" about one thing that is there and one that is not.

The picture's name is the seed for choosing them.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.datasets.sample import Dataset, DatasetError, MaskSample, QuestionSample, Sample, Truth
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.photographs import Marked, Photograph, PhotographError, read_photographs
from stamp.training.scenes.vocabulary import taught_nouns
from stamp.training.talk.exchange import a_noun, verb_of

HELD_OUT = "heldout"
MIN_AREA_SHARE = 0.03
MOST_REQUESTS = 2
YES, NO = ("yes",), ("no",)


def read_held_out(name: str, root: Path, splits: Sequence[str]) -> Dataset:
    """The requests about the held-out photographs. Raises DatasetError: no such folder, or damaged annotations."""
    nouns = taught_nouns()
    try:
        photographs = [photo for photo in read_photographs(root, nouns, held_out=True) if photo.has_masks]
    except (PhotographError, OSError) as error:
        raise DatasetError(str(error)) from error
    if not photographs:
        raise DatasetError(f"{root} holds no photograph with masks that a heldout.txt names.")
    photographed = {item.noun for photo in photographs for item in photo.objects}
    known = [noun for noun in nouns if noun in photographed]
    samples = tuple(sample for photo in photographs for sample in _samples(photo, root, name, known))
    files = dict.fromkeys(path for photo in photographs for path in photo.files)
    return Dataset(name, tuple(splits), samples, tuple(files))


def _samples(photo: Photograph, root: Path, name: str, nouns: Sequence[Noun]) -> Iterator[Sample]:
    sample_id = photo.path.relative_to(root).with_suffix("").as_posix()
    rng = Random(sample_id)
    shown = {item.noun for item in photo.objects}
    large = [noun for noun in sorted(shown, key=lambda noun: noun.name) if _share(photo, noun) >= MIN_AREA_SHARE]
    absent = [
        noun for noun in nouns if noun not in photo.unmarked and all(other.fits(noun.name) is False for other in shown)
    ]

    def about(kind: str, number: int, prompt: str) -> dict[str, Any]:
        where: dict[str, Any] = {"dataset": name, "split": HELD_OUT, "image": photo.path}
        return where | {"id": f"{sample_id}-{kind}-{number}", "kind": kind, "prompt": prompt}

    for number, noun in enumerate(rng.sample(large, min(len(large), MOST_REQUESTS))):
        objects = [item for item in photo.objects if item.noun is noun]
        the = f"the {noun.name}" if len(objects) == 1 else f"all {noun.plural}"
        truth = partial(_truth, objects)
        yield MaskSample(**about("segment", number, f"segment {the}"), no_target=False, truth=truth, phrase=the)
    for number, noun in enumerate(rng.sample(absent, min(len(absent), 1))):
        the, truth = f"the {noun.name}", partial(_truth, photo.objects[:1], empty=True)
        request = about("segment_absent", number, f"segment {the}")
        yield MaskSample(**request, no_target=True, truth=truth, phrase=the)
    asked = [(noun, YES) for noun in rng.sample(large, min(len(large), 1))]
    asked += [(noun, NO) for noun in rng.sample(absent, min(len(absent), 1))]
    for number, (noun, accepted) in enumerate(asked):
        question = f"{verb_of(noun).capitalize()} there {a_noun(noun)} in the picture?"
        yield QuestionSample(**about("exists", number, question), accepted=accepted, rivals=(YES, NO))


def _share(photo: Photograph, noun: Noun) -> float:
    """The share of the picture that the noun's objects cover."""
    return float(_union([item for item in photo.objects if item.noun is noun]).mean())


def _union(objects: Sequence[Marked]) -> np.ndarray:
    """(H, W) bool: the union of the objects' masks."""
    masks = [item.read_mask() for item in objects if item.read_mask is not None]
    union: np.ndarray = np.logical_or.reduce(masks)
    return union


def _truth(objects: Sequence[Marked], empty: bool = False) -> Truth:
    mask = _union(objects)
    return Truth(np.zeros_like(mask) if empty else mask)

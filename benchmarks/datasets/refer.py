"""RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO, from a folder in the layout of the official repositories.

    ROOT/refer_seg/refcoco/refs(unc).p           or ROOT/refcoco/..., or ROOT/data/refcoco/...
    ROOT/refer_seg/refcoco/instances.json
    ROOT/refer_seg/grefcoco/grefs(unc).json
    ROOT/refer_seg/images/mscoco/images/train2014/COCO_train2014_000000581857.jpg ...

Every sentence of every reference is a sample, stripped and in lower case, as in the official evaluations. The prompt
around it is the first of STAMP's own list; the official evaluation draws one of six for each sentence. A gRefCOCO
reference has any number of objects, joined into one mask, crowds included; ReLA's reader leaves crowds out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets.coco import Instances, read_instances, segmentation_mask
from benchmarks.datasets.files import check_images, first_existing, read_json, take
from benchmarks.datasets.plain_pickle import read_plain_pickle
from benchmarks.datasets.sample import Dataset, DatasetError, MaskSample, Truth

PROMPT = "Please segment only the {} in the image."
#: Folders that may hold the datasets, below the user's folder, and the picture folders below these.
BASES = ("refer_seg", ".", "data")
IMAGE_FOLDERS = ("images/mscoco/images/train2014", "images/coco_2014/train2014", "images/train2014", "train2014")
NO_OBJECT = [-1]


@dataclass(frozen=True)
class ReferSource:
    """Where a dataset is: its folder, and the possible names of its reference file."""

    folder: str
    references: tuple[str, ...]


def read_refer(source: ReferSource, name: str, root: Path, splits: Sequence[str]) -> Dataset:
    """All sentences of the splits, in file order. name: the dataset's name, for the samples.

    Raises DatasetError: files or pictures missing, damaged or in another format, or a pickle that is not plain data.
    """
    folders = [root / base / source.folder for base in BASES]
    references_file = first_existing(
        f"{name} in {root}", [folder / file for folder in folders for file in source.references]
    )
    folder = references_file.parent
    instances_file = first_existing(f"annotations of {name}", [folder / "instances.json"])
    images = first_existing(
        f"folder of COCO's train2014 pictures for {name}",
        [base / images for base in (folder.parent, root) for images in IMAGE_FOLDERS],
    )
    references = _read_references(references_file)
    if missing := set(splits) - {entry["split"] for _, entry in references}:
        raise DatasetError(f"{references_file} has no split {sorted(missing)[0]!r}.")
    instances = read_instances(instances_file)
    samples = tuple(
        sample
        for split in splits
        for where, entry in references
        if entry["split"] == split
        for sample in _samples(entry, where, instances, images, name)
    )
    check_images(samples, images)
    return Dataset(name, tuple(splits), samples, (references_file, instances_file))


def _read_references(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """(place in the file, for errors; the reference), each with a split."""
    content = read_plain_pickle(path) if path.suffix == ".p" else read_json(path, list)
    if not isinstance(content, list):
        raise DatasetError(f"{path} must hold a list of references, not a {type(content).__name__}.")
    entries = [(f"{path}, reference {number}", entry) for number, entry in enumerate(content)]
    for where, entry in entries:
        take(entry, "split", str, where)
    return entries


def _samples(entry: dict[str, Any], where: str, instances: Instances, images: Path, name: str) -> Iterator[MaskSample]:
    """One sample per sentence."""
    picture = instances.picture(take(entry, "image_id", int, where))
    ids = take(entry, "ann_id", (int, list), where)
    ids = ids if isinstance(ids, list) else [ids]
    objects = [] if ids == NO_OBJECT else ids
    if objects and entry.get("no_target"):
        raise DatasetError(f"{where}: 'no_target' contradicts 'ann_id', which names {len(objects)} objects.")
    segmentations = tuple(instances.segmentation(one) for one in objects)
    for sentence in take(entry, "sentences", list, where):
        phrase = take(sentence, "sent", str, where).strip().lower()
        yield MaskSample(
            dataset=name,
            split=entry["split"],
            id=f"{take(entry, 'ref_id', int, where)}-{take(sentence, 'sent_id', int, where)}",
            kind=_kind(objects),
            image=images / picture.file_name,
            prompt=PROMPT.format(phrase),
            no_target=not objects,
            truth=partial(_truth, segmentations, picture.size_hw),
            phrase=phrase,
        )


def _kind(objects: Sequence[int]) -> str:
    return ("no object", "one object", "several objects")[min(len(objects), 2)]


def _truth(segmentations: Sequence[Any], size_hw: tuple[int, int]) -> Truth:
    mask = np.zeros(size_hw, dtype=bool)
    for segmentation in segmentations:
        mask |= segmentation_mask(segmentation, size_hw)
    return Truth(mask)

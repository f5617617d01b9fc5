"""The scenes that come with the project, `assets/scenes-val`, and their format.

    ROOT/scenes.jsonl    one scene per line, all splits in one file
    ROOT/rivals.json     lists of things an answer may name, each thing with all its forms
    ROOT/images/...      the pictures, PNG, JPEG or WebP

Splits: `known` (styles and backgrounds of the training, new scenes), `style` (a drawing style held out), `background`
(backgrounds held out). `python -m stamp.training scenes --photos DIR` writes another set, which is the dataset
`cutouts`: its only split shows things cut out of held-out photographs, on held-out backgrounds. A line of scenes.jsonl:

    {"id": "known-0007", "split": "known", "image": "images/known-0007.png", "width": 448, "height": 320,
     "licences": ["@iconify-json/noto@1.2.9, Apache-2.0"],
     "objects": [{"noun": "crab", "rle": {"size": [320, 448], "counts": "..."}}],
     "expressions": [{"kind": "segment", "text": "segment the crab", "phrase": "crab", "rle": {...}},
                     {"kind": "segment_absent", "text": "segment the boat", "phrase": "boat", "rle": null}],
     "questions": [{"kind": "count", "text": "How many crabs are there?", "accepted": ["one", "1"],
                    "rivals": ["numbers", "nouns"]}]}

`rle` is COCO's compressed run-length code of everything the text asks for, as one mask; null if nothing matches, and
then the right mask is empty. `phrase` is the bare referring expression, or null. `rivals` names lists of rivals.json,
{"numbers": [["no", "none", "0"], ["one", "1"], ...], "nouns": [["crab", "crabs"], ...]}; an answer is wrong when it
names a thing of these lists that is neither accepted nor named in the question (`stamp.training.talk.answers`).
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.datasets.coco import segmentation_mask
from benchmarks.datasets.files import check_images, first_existing, read_json, take, take_name, take_size
from benchmarks.datasets.sample import Dataset, DatasetError, MaskSample, QuestionSample, Sample, Truth

SCENES_FILE, RIVALS_FILE = "scenes.jsonl", "rivals.json"

Things = tuple[tuple[str, ...], ...]


def read_scenes(name: str, root: Path, splits: Sequence[str]) -> Dataset:
    """The splits' expressions and questions, scene by scene. Raises DatasetError, which names file and line."""
    scenes_file = first_existing(f"{SCENES_FILE} of the dataset {name}", [root / SCENES_FILE])
    rivals_file = first_existing(f"{RIVALS_FILE} of the dataset {name}", [root / RIVALS_FILE])
    rivals = _read_rivals(rivals_file)
    scenes = [(take(scene, "split", str, where), where, scene) for where, scene in read_scene_lines(scenes_file)]
    if missing := set(splits) - {split for split, _, _ in scenes}:
        raise DatasetError(f"{scenes_file} has no scene of the split {sorted(missing)[0]!r}.")
    samples = tuple(
        sample
        for wanted in splits
        for split, where, scene in scenes
        if split == wanted
        for sample in _samples(scene, where, name, root.resolve(), rivals)
    )
    check_images(samples, root)
    images = dict.fromkeys(sample.image for sample in samples)
    return Dataset(name, tuple(splits), samples, (scenes_file, rivals_file, *images))


def read_scene_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place in the file, for errors; the scene) of each line. Raises DatasetError."""
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            yield f"{path}, line {number}", json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}, line {number}: not a JSON object ({error}).") from error


def _read_rivals(path: Path) -> dict[str, Things]:
    content = read_json(path, dict)
    lists = {name: take(content, name, list, str(path)) for name in content}
    return {name: tuple(_texts(thing, f"{path}, {name}") for thing in things) for name, things in lists.items()}


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one.strip() for one in value):
        raise DatasetError(f"{where}: expected a list of texts, found {value!r}.")
    return tuple(value)


def _samples(scene: dict[str, Any], where: str, name: str, root: Path, rivals: dict[str, Things]) -> Iterator[Sample]:
    """Expressions first, then questions; both are numbered within their scene, for the ids."""
    scene_id, split = take(scene, "id", str, where), scene["split"]
    image = (root / take_name(scene, "image", where)).resolve()
    if not image.is_relative_to(root):
        raise DatasetError(f"{where}: the image {scene['image']!r} leads out of the folder.")
    size_hw = take_size(scene, where)
    _texts(take(scene, "licences", list, where), where)
    for entry in take(scene, "objects", list, where):
        take(entry, "noun", str, where)
        take(entry, "rle", dict, where)
    for number, entry in enumerate(take(scene, "expressions", list, where)):
        code = take(entry, "rle", (dict, type(None)), where)
        yield MaskSample(
            dataset=name,
            split=split,
            id=f"{scene_id}-e{number}",
            kind=take(entry, "kind", str, where),
            image=image,
            prompt=take(entry, "text", str, where),
            no_target=code is None,
            truth=partial(_truth, [] if code is None else code, size_hw),
            phrase=take(entry, "phrase", (str, type(None)), where),
        )
    for number, entry in enumerate(take(scene, "questions", list, where)):
        lists = take(entry, "rivals", list, where)
        if unknown := [one for one in lists if one not in rivals]:
            raise DatasetError(f"{where}: {RIVALS_FILE} has no list {unknown[0]!r}; it has {', '.join(rivals)}.")
        yield QuestionSample(
            dataset=name,
            split=split,
            id=f"{scene_id}-q{number}",
            kind=take(entry, "kind", str, where),
            image=image,
            prompt=take(entry, "text", str, where),
            accepted=_texts(take(entry, "accepted", list, where), where),
            rivals=tuple(thing for one in lists for thing in rivals[one]),
        )


def _truth(segmentation: Any, size_hw: tuple[int, int]) -> Truth:
    return Truth(segmentation_mask(segmentation, size_hw))

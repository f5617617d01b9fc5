"""ReasonSeg: questions that need reasoning, from a folder in the layout of LISA's repository.

    ROOT/reason_seg/ReasonSeg/val/NAME.jpg and NAME.json, the same for train and test

NAME.json: `shapes` (polygons `points` with a `label`), `text` (a list; the official evaluation uses the first entry),
`is_sentence`. Polygons are painted as in LISA's code, from large to small, edges included: the label "flag" is left
out, a label that contains "ignore" marks pixels that do not count, any other label marks the target. LISA paints with
OpenCV; we use Pillow, which differs in a few pixels at the edge.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.datasets.files import first_existing, read_json, take
from benchmarks.datasets.sample import Dataset, DatasetError, MaskSample, Truth
from stamp.pictures.images import ImageError, load_image

#: Folders that may hold the splits, below the user's folder.
BASES = ("reason_seg/ReasonSeg", "ReasonSeg", ".")
#: The prompts of LISA's evaluation.
SENTENCE_PROMPT = "{} Please output segmentation mask."
PHRASE_PROMPT = "What is {} in this image? Please output segmentation mask."
#: As in the official reader: some files use the Windows encoding.
ENCODINGS = ("utf-8-sig", "cp1252")
TARGET, IGNORE = 1, 2

_PAIRS = [[int, int], [int, float], [float, int], [float, float]]

Shape = tuple[int, tuple[tuple[int, int], ...]]


def read_reasonseg(name: str, root: Path, splits: Sequence[str]) -> Dataset:
    """One sample per picture, by file name. Raises DatasetError: no pictures, or a picture without its .json."""
    pairs = [(split, picture) for split in splits for picture in _pictures(root, split)]
    samples = tuple(_sample(name, split, picture) for split, picture in pairs)
    return Dataset(name, tuple(splits), samples, tuple(_annotation(picture) for _, picture in pairs))


def _pictures(root: Path, split: str) -> list[Path]:
    folder = first_existing(f"ReasonSeg {split} in {root}", [root / base / split for base in BASES])
    pictures = sorted(folder.glob("*.jpg"))
    if not pictures:
        raise DatasetError(f"{folder} holds no .jpg picture.")
    if missing := [picture.name for picture in pictures if not _annotation(picture).is_file()]:
        raise DatasetError(f"{len(missing)} pictures in {folder} have no annotation, for example {missing[0]}.")
    return pictures


def _annotation(picture: Path) -> Path:
    return picture.with_suffix(".json")


def _sample(name: str, split: str, picture: Path) -> MaskSample:
    """A sample; with a problem if its annotation is invalid, because one bad file in a thousand must not stop a run."""
    annotation = _annotation(picture)
    sample = MaskSample(name, split, picture.stem, "phrase", picture, "", no_target=False, truth=partial(_refuse, ""))
    try:
        content = read_json(annotation, dict, ENCODINGS)
        is_sentence = _is_sentence(content, annotation)
        text = _question(content, annotation)
        sample = replace(
            sample,
            kind="sentence" if is_sentence else "phrase",
            prompt=(SENTENCE_PROMPT if is_sentence else PHRASE_PROMPT).format(text),
            phrase=None if is_sentence else text,
        )
        return replace(sample, truth=partial(_truth, _shapes(content, annotation), picture))
    except DatasetError as error:
        problem = str(error)
        return replace(sample, problem=problem, truth=partial(_refuse, problem))


def _refuse(problem: str) -> Truth:
    raise DatasetError(problem)


def _is_sentence(content: dict[str, Any], annotation: Path) -> bool:
    value = content.get("is_sentence")
    if value not in (True, False) or isinstance(value, float):  # 1 and 0 occur too
        raise DatasetError(f"{annotation}: 'is_sentence' must be true or false, found {value!r:.60}.")
    return bool(value)


def _question(content: dict[str, Any], annotation: Path) -> str:
    texts = take(content, "text", list, str(annotation))
    if not texts or not isinstance(texts[0], str) or not texts[0].strip():
        raise DatasetError(f"{annotation}: 'text' must begin with the question.")
    return texts[0].strip()


def _shapes(content: dict[str, Any], annotation: Path) -> tuple[Shape, ...]:
    """The painted shapes. Raises DatasetError without a target: every ReasonSeg question has one."""
    entries = take(content, "shapes", list, str(annotation))
    shapes = tuple(shape for entry in entries if (shape := _shape(entry, annotation)) is not None)
    if not any(value == TARGET for value, _ in shapes):
        raise DatasetError(f"{annotation}: 'shapes' has no target polygon.")
    return shapes


def _shape(entry: Any, annotation: Path) -> Shape | None:
    """(value to paint, corners in whole pixels), or None for a shape that is not painted."""
    label = take(entry, "label", str, str(annotation)).lower()
    points = take(entry, "points", list, str(annotation))
    if label == "flag":
        return None
    if any(not isinstance(point, list) or list(map(type, point)) not in _PAIRS for point in points):
        raise DatasetError(f"{annotation}: 'points' must be pairs of numbers.")
    try:
        corners = tuple((int(x), int(y)) for x, y in points)  # towards zero, like OpenCV's int32
    except (ValueError, OverflowError) as error:  # NaN and infinity
        raise DatasetError(f"{annotation}: 'points' must be pairs of finite numbers.") from error
    if not corners or any(abs(value) > 100_000 for corner in corners for value in corner):
        raise DatasetError(f"{annotation}: 'points' is empty, or far outside the picture.")
    return (IGNORE if "ignore" in label else TARGET), corners


def _truth(shapes: tuple[Shape, ...], picture: Path) -> Truth:
    try:
        size_wh = load_image(picture).size  # upright, as OpenCV loads it
    except ImageError as error:
        raise DatasetError(f"{picture.name}: {error}") from error
    areas = [np.count_nonzero(_paint([shape], size_wh)) for shape in shapes]
    by_area = np.argsort(areas, kind="stable")[::-1]
    painted = _paint([shapes[index] for index in by_area], size_wh)
    return Truth(painted == TARGET, painted == IGNORE)


def _paint(shapes: list[Shape], size_wh: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: for each pixel the value of the last shape that covers it, or 0."""
    canvas = Image.new("L", size_wh)
    pen = ImageDraw.Draw(canvas)
    for value, corners in shapes:
        if len(corners) > 1:
            pen.polygon(corners, fill=value)
        pen.line([*corners, corners[0]], fill=value)
    return np.asarray(canvas)

"""Photographs with marked objects, used as scenes: exchanges about them work like those about composed scenes.

Two layouts are read, each in its own folder:

    annotations.jsonl   one picture per line: {"image": "images/a.jpg", "objects": [{"noun": "cat",
                        "mask": "masks/a.png", "mask_ids": [1]}]}; the 8-bit mask has one of these values where the
                        object is. An object without a mask is only known to be somewhere in the picture.
    instances.json      COCO: images/ (or the folder itself) holds the files that it names.

`heldout.txt` names the pictures that training never sees, one per line. `marks.txt` names the nouns that the folder
marks in every picture, one per line; COCO marks all of its categories. Whether other nouns are there is unknown.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.scenes import Scene, SceneObject, augment, describe

PHOTOGRAPH = "photograph"
#: Kinds of things that annotators do not overlook: if they are in a picture, they are marked.
STRIKING = frozenset(("animal", "bird", "insect", "sea animal", "instrument", "weapon", "character", "dinosaur"))
#: Objects smaller than this share of the picture do not show on the grid: their nouns are neither there nor absent.
MIN_SHARE = 0.004
#: How much to trust unmarked pixels as background if not everything is marked.
DOUBTFUL_WEIGHT = 0.3
#: A person wears clothes: if smaller objects cover most of an object, the scene shows either it or them.
PARTS_SHARE = 0.5
MOST_OBJECTS = 255
#: Nouns that known collections mark in every picture, by folder name; other folders list them in `marks.txt`.
MARKS_FILE = Path(__file__).with_name("photograph_marks.json")


class PhotographError(ValueError):
    """A folder of photographs cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Marked:
    """One marked object. read_mask: gives its (H, W) bool mask; None if only its noun is known."""

    noun: Noun
    read_mask: Callable[[], np.ndarray] | None


@dataclass(frozen=True)
class Photograph:
    """One picture. unmarked: nouns it may show without a mark; weight: see `Scene.background_weight`.

    origin: its source and licence, as recorded in its folder. files: the lists of its folder, the picture, its masks.
    """

    path: Path
    objects: tuple[Marked, ...]
    unmarked: frozenset[Noun]
    weight: float
    origin: str = ""
    files: tuple[Path, ...] = ()

    @cached_property
    def has_masks(self) -> bool:
        """Whether every object has a mask, so that the picture makes a scene."""
        return bool(self.objects) and all(item.read_mask for item in self.objects)


def read_photographs(folder: Path, nouns: Sequence[Noun], held_out: bool = False) -> list[Photograph]:
    """The photographs of a folder, or of its subfolders, that show at least one of the nouns.

    Raises PhotographError: no annotations, or damaged ones.
    """
    folders = [path for path in (folder, *sorted(folder.iterdir())) if path.is_dir() and _annotations(path)]
    if not folders:
        raise PhotographError(f"{folder} and its subfolders hold neither annotations.jsonl nor instances.json")
    by_word = {word: noun for noun in nouns for word in (noun.name, *noun.synonyms)}
    return [photo for one in folders for photo in _read_folder(one, by_word, tuple(nouns), held_out)]


def _annotations(folder: Path) -> Path | None:
    return next((path for name in ("annotations.jsonl", "instances.json") if (path := folder / name).is_file()), None)


def _read_folder(
    folder: Path, by_word: dict[str, Noun], nouns: tuple[Noun, ...], held_out: bool
) -> Iterator[Photograph]:
    path = _annotations(folder)
    assert path is not None
    try:
        lists = [one for one in (path, folder / "heldout.txt", folder / "marks.txt") if one.is_file()]
        held = {Path(line).name for line in _lines(folder / "heldout.txt")}
        rows, marks = (_jsonl_rows if path.suffix == ".jsonl" else _coco_rows)(path)
        marked = marks or _lines(folder / "marks.txt") or _known_marks().get(folder.name, [])
        names = {by_word[word].name for word in marked if word in by_word}
        unmarked = frozenset(noun for noun in nouns if not _would_be_marked(noun, names))
        for image, masks, objects, origin in rows:
            known = tuple(Marked(by_word[word], read) for word, read in objects if word in by_word)[:MOST_OBJECTS]
            if known and (image.name in held) == held_out:
                weight = 1.0 if marked else DOUBTFUL_WEIGHT
                yield Photograph(image, known, unmarked, weight, origin, (*lists, image, *masks))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PhotographError(f"{path}: {type(error).__name__}: {error}") from error


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text().splitlines() if line.strip()] if path.is_file() else []


@lru_cache
def _known_marks() -> dict[str, list[str]]:
    marks: dict[str, list[str]] = json.loads(MARKS_FILE.read_text())
    return marks


#: A picture, files of masks, the names of what it shows with their masks, and its origin.
Row = tuple[Path, list[Path], list[tuple[str, Callable[[], np.ndarray] | None]], str]


def _inside(folder: Path, name: str) -> Path:
    """A file that annotations name. Raises ValueError if it lies outside their folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"the file {name!r} leads out of the folder")
    return folder / name


def _jsonl_rows(path: Path) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        masks = {item["mask"]: _inside(path.parent, item["mask"]) for item in entry["objects"] if item.get("mask")}
        objects = [(item["noun"], _png_mask(masks.get(item.get("mask")), item)) for item in entry["objects"]]
        origin = ", ".join(filter(None, (entry.get("source"), entry.get("licence"))))
        rows.append((_inside(path.parent, entry["image"]), list(masks.values()), objects, origin))
    return rows, []


def _png_mask(path: Path | None, item: dict[str, Any]) -> Callable[[], np.ndarray] | None:
    return None if path is None else lambda: np.isin(_label_map(path), item["mask_ids"])


@lru_cache(maxsize=4)
def _label_map(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def _coco_rows(path: Path) -> tuple[list[Row], list[str]]:
    content = json.loads(path.read_text())
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    images = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
    objects: dict[int, list[tuple[str, Callable[[], np.ndarray] | None]]] = {}
    sizes = {entry["id"]: (entry["height"], entry["width"]) for entry in content["images"]}
    for item in content["annotations"]:
        size_hw, code = sizes[item["image_id"]], item.get("segmentation")
        read = None if not code else (lambda code=code, size_hw=size_hw: _coco_mask(code, size_hw))
        objects.setdefault(item["image_id"], []).append((names[item["category_id"]], read))
    licences = {entry["id"]: entry["name"] for entry in content.get("licenses", ())}
    rows: list[Row] = []
    for entry in content["images"]:
        image, licence = _inside(images, entry["file_name"]), licences.get(entry.get("license"), "")
        rows.append((image, [], objects.get(entry["id"], []), licence))
    return rows, list(names.values())


def _coco_mask(segmentation: Any, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of COCO's polygons or run-length code."""
    code = segmentation
    if isinstance(code, list) or isinstance(code["counts"], list):
        code = coco.frPyObjects(code, *size_hw)
    return np.asarray(coco.decode(coco.merge(code) if isinstance(code, list) else code)).astype(bool)


def _would_be_marked(noun: Noun, marked: set[str]) -> bool:
    words = {noun.name, noun.category, *noun.kinds}
    return not words.isdisjoint(marked) or not words.isdisjoint(STRIKING)


def photograph_scene(photo: Photograph, seed: int, width: int, height: int, crop: bool = True) -> Scene | None:
    """A scene of (height, width) from a photograph with masks; None if too little of every object is left.

    crop: a random window, mirrored half the time, in changed light; otherwise the whole picture, unchanged.
    """
    rng = np.random.default_rng([seed, 1])
    with Image.open(photo.path) as file:
        picture = file.convert("RGB")
    items = [(item.noun, item.read_mask()) for item in photo.objects if item.read_mask]
    items = _whole_or_parts(rng, items)
    dropped = {item.noun for item in photo.objects} - {noun for noun, _ in items}
    labels = np.zeros((picture.height, picture.width), np.uint8)
    for number, (_, mask) in sorted(enumerate(items, 1), key=lambda pair: -int(pair[1][1].sum())):
        labels[mask] = number
    box = _window(rng, picture.size, width / height) if crop else (0, 0, *picture.size)
    image = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC, box=box))
    seen = np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST, box=box))
    if crop and rng.random() < 0.5:
        image, seen = image[:, ::-1], seen[:, ::-1]
    shown, small = _renumber(seen, [noun for noun, _ in items])
    if not shown:
        return None
    image = augment(rng, np.ascontiguousarray(image)) if crop else image
    unmarked = photo.unmarked | dropped | small
    labels, shown_objects = _objects(seen, shown)
    return Scene(image, labels, shown_objects, PHOTOGRAPH, seed, unmarked, background_weight=photo.weight)


def _whole_or_parts(rng: np.random.Generator, items: list[tuple[Noun, np.ndarray]]) -> list[tuple[Noun, np.ndarray]]:
    """The objects without the wholes or without the parts, if objects of other nouns cover most of one."""
    wholes = set()
    for number, (noun, mask) in enumerate(items):
        others = [other for kind, other in items if kind is not noun and other.sum() < mask.sum()]
        covered = np.logical_or.reduce([mask & other for other in others]).sum() if others else 0
        if covered > PARTS_SHARE * mask.sum():
            wholes.add(number)
    if not wholes:
        return items
    keep_wholes = bool(rng.random() < 0.5)
    inside = np.logical_or.reduce([items[number][1] for number in wholes])
    return [
        (noun, mask)
        for number, (noun, mask) in enumerate(items)
        if (number in wholes if keep_wholes else number not in wholes)
        or (keep_wholes and (mask & inside).sum() < PARTS_SHARE * mask.sum())
    ]


def _window(rng: np.random.Generator, size_wh: tuple[int, int], ratio: float) -> tuple[float, float, float, float]:
    """A random window (x1, y1, x2, y2) of about this ratio of width to height, half to all of the picture wide."""
    width, height = size_wh
    ratio = ratio * float(np.exp(rng.normal(0, 0.12)))
    wide = min(width, height * ratio) * float(rng.uniform(0.55, 1.0) if rng.random() < 0.7 else 1.0)
    tall = wide / ratio
    x, y = rng.uniform(0, width - wide), rng.uniform(0, max(0.0, height - tall))
    return x, y, x + wide, min(height, y + tall)


def _renumber(seen: np.ndarray, nouns: Sequence[Noun]) -> tuple[dict[int, Noun], frozenset[Noun]]:
    """{label: noun} of the objects that are large enough, and the nouns of those that are too small."""
    areas = np.bincount(seen.ravel(), minlength=len(nouns) + 1)[1:]
    shown = {n: noun for n, noun in enumerate(nouns, 1) if areas[n - 1] >= MIN_SHARE * seen.size}
    return shown, frozenset(noun for n, noun in enumerate(nouns, 1) if areas[n - 1] > 0 and n not in shown)


def _objects(seen: np.ndarray, shown: dict[int, Noun]) -> tuple[np.ndarray, tuple[SceneObject, ...]]:
    """The label map with labels from 1 on, and its objects."""
    table = np.zeros(256, np.uint8)
    table[list(shown)] = np.arange(1, len(shown) + 1)
    labels = table[seen]
    return labels, tuple(describe(labels, k, noun, PHOTOGRAPH) for k, noun in enumerate(shown.values(), 1))


class PhotoLibrary:
    """Photographs as scenes, each noun about as often as the square root of how often it is photographed."""

    def __init__(self, photographs: Sequence[Photograph]) -> None:
        self.photographs = [photo for photo in photographs if photo.has_masks]
        if not self.photographs:
            raise PhotographError("none of the photographs has masks of nouns that are learned")
        nouns = [{item.noun for item in photo.objects} for photo in self.photographs]
        counts = {noun: sum(noun in shown for shown in nouns) for noun in set().union(*nouns)}
        weights = np.array([sum(counts[noun] ** -0.5 for noun in shown) ** 0.5 for shown in nouns])
        self._shares = weights / weights.sum()

    def origins(self) -> dict[str, int]:
        """The number of photographs per source and licence."""
        return dict(sorted(Counter(photo.origin for photo in self.photographs).items()))

    def scene(self, seed: int, width: int, height: int) -> Scene:
        """A scene from one of the photographs; a pure function of its arguments."""
        rng = np.random.default_rng([seed, 2])
        while True:
            photo = self.photographs[int(rng.choice(len(self._shares), p=self._shares))]
            scene = photograph_scene(photo, int(rng.integers(2**31)), width, height)
            if scene is not None:
                return replace(scene, seed=seed)

"""COCO annotations: `instances.json`, and segmentations in all of its formats."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from benchmarks.datasets.files import read_json, take, take_name, take_size
from benchmarks.datasets.sample import DatasetError
from stamp.pictures.masks import Mask, decode_rle


@dataclass(frozen=True)
class Picture:
    """An image of `instances.json`."""

    file_name: str
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Instances:
    """`instances.json`: its entries by id, each with its place in the file. An entry is checked when it is used."""

    images: dict[int, tuple[str, Any]]
    annotations: dict[int, tuple[str, Any]]

    def picture(self, number: int) -> Picture:
        """Raises DatasetError: no such image, or an invalid entry."""
        if number not in self.images:
            raise DatasetError(f"instances.json has no image {number}.")
        where, image = self.images[number]
        name = take_name(image, "file_name", where)
        if Path(name).name != name or name in ("", ".", ".."):
            raise DatasetError(f"{where}: the file name {name!r} leads out of the folder.")
        return Picture(name, take_size(image, where))

    def segmentation(self, number: int) -> Any:
        """As in the file, not decoded. Raises DatasetError: no such annotation, or no segmentation in it."""
        if type(number) is not int or number not in self.annotations:
            raise DatasetError(f"instances.json has no annotation {number!r:.60}.")
        where, annotation = self.annotations[number]
        return take(annotation, "segmentation", (list, dict), where)


def read_instances(path: Path) -> Instances:
    """Read `images` and `annotations` of a COCO file, without entries that have no id. Raises DatasetError."""
    content = read_json(path, dict)
    images, annotations = (_by_id(content, name, path) for name in ("images", "annotations"))
    return Instances(images, annotations)


def _by_id(content: dict[str, Any], name: str, path: Path) -> dict[int, tuple[str, Any]]:
    entries = enumerate(take(content, name, list, str(path)))
    kind = name.removesuffix("s")
    return {
        entry["id"]: (f"{path}, {kind} {number}", entry)
        for number, entry in entries
        if isinstance(entry, dict) and type(entry.get("id")) is int
    }


def segmentation_mask(segmentation: Any, size_hw: tuple[int, int]) -> Mask:
    """Bool (H, W) of one annotation, drawn by pycocotools.

    Accepted: a list of polygons [x, y, x, y, ...], which are joined (the official readers add them up, so a pixel in
    two overlapping polygons becomes background); a run-length code with counts as a list (crowds) or as a compressed
    string; a list of such codes; an empty list for an empty mask. A polygon with fewer than three points has no area
    and is skipped if there is a valid one. Raises DatasetError.
    """
    try:
        if isinstance(segmentation, dict):
            return _run_length(segmentation, size_hw)
        if segmentation and isinstance(segmentation[0], dict):
            joined: Mask = np.any([_run_length(part, size_hw) for part in segmentation], axis=0)
            return joined
        if not segmentation:
            return np.zeros(size_hw, dtype=bool)
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6 or len(polygon) % 2] or segmentation
        for polygon in polygons:
            _check_polygon(polygon, size_hw)
        parts = coco.frPyObjects([list(map(float, polygon)) for polygon in polygons], *size_hw)
        mask: Mask = coco.decode(coco.merge(parts)).astype(bool)
        return mask
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"a segmentation cannot be drawn: {error}") from error


def _run_length(code: dict[str, Any], size_hw: tuple[int, int]) -> Mask:
    size, counts = code["size"], code["counts"]
    if list(size) != list(size_hw):
        raise ValueError(f"its run-length code is for {list(size)}, the picture has {list(size_hw)}")
    if isinstance(counts, str):
        return decode_rle({"size": list(size), "counts": counts})
    if any(type(count) is not int or count < 0 for count in counts) or sum(counts) != math.prod(size_hw):
        raise ValueError(f"the runs in counts do not fill a mask of {size_hw[0]} x {size_hw[1]} pixels")
    mask: Mask = coco.decode(coco.frPyObjects({"size": list(size), "counts": counts}, *size_hw)).astype(bool)
    return mask


def _check_polygon(polygon: list[float], size_hw: tuple[int, int]) -> None:
    """At least three points (pycocotools reads two as a box), none farther outside than the picture is large."""
    if len(polygon) < 6 or len(polygon) % 2:
        raise ValueError(f"a polygon needs x and y of at least 3 points, found {len(polygon)} numbers")
    if any(not -max(size_hw) <= float(value) <= 2 * max(size_hw) for value in polygon):
        raise ValueError("a polygon lies far outside the picture, or is not made of numbers")

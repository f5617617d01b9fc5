"""A folder of two tiny photographs, in both layouts, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

WIDTH, HEIGHT = 96, 64


def boxes(*boxes_xyxy: tuple[int, int, int, int]) -> np.ndarray:
    """(HEIGHT, WIDTH) uint8 labels: box k has the value k."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for value, (x1, y1, x2, y2) in enumerate(boxes_xyxy, 1):
        labels[y1:y2, x1:x2] = value
    return labels


LABELS = {
    "one": boxes((8, 8, 40, 56)),
    "two": boxes((8, 8, 40, 56), (60, 8, 92, 40), (60, 48, 64, 50)),
    "three": boxes((8, 8, 40, 56)),
}
NOUNS = {"one": ["cat"], "two": ["cat", "car", "car"], "three": ["cow"]}


def write_jsonl(folder: Path, marks: str = "") -> Path:
    """Pictures "one", "two" and, held out, "three"; and one of which only the noun is known."""
    rows = []
    for name, labels in LABELS.items():
        _write(folder / "images" / f"{name}.jpg", labels)
        _write(folder / "masks" / f"{name}.png", labels)
        objects = [
            {"noun": noun, "mask": f"masks/{name}.png", "mask_ids": [value]}
            for value, noun in enumerate(NOUNS[name], 1)
        ]
        rows.append({"image": f"images/{name}.jpg", "objects": objects, "source": "example.org", "licence": "CC0"})
    rows.append({"image": "images/one.jpg", "objects": [{"noun": "bus", "mask": None, "mask_ids": []}]})
    (folder / "annotations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "heldout.txt").write_text("images/three.jpg\n")
    (folder / "marks.txt").write_text(marks)
    return folder


def write_coco(folder: Path) -> Path:
    """The same pictures as COCO's instances.json: polygons, and run-length codes of both kinds."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories = {name: number for number, name in enumerate(("cat", "car", "cow", "unicycle"), 1)}
    for number, (name, labels) in enumerate(LABELS.items()):
        _write(folder / "images" / f"{name}.jpg", labels)
        images.append({"id": number, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT})
        for value, noun in enumerate(NOUNS[name], 1):
            code = (_polygon, _counts, _compressed)[len(annotations) % 3]
            shape = code(labels == value)
            annotations.append({"image_id": number, "category_id": categories[noun], "segmentation": shape})
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    (folder / "heldout.txt").write_text("three.jpg\n")
    return folder


def _write(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels if path.suffix == ".png" else np.stack([labels * 100] * 3, -1)).save(path)


def _polygon(mask: np.ndarray) -> list[list[int]]:
    ys, xs = np.nonzero(mask)
    x1, y1, x2, y2 = int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def _counts(mask: np.ndarray) -> dict[str, object]:
    flat = mask.flatten(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": runs if not flat[0] else [0, *runs]}


def _compressed(mask: np.ndarray) -> dict[str, object]:
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}

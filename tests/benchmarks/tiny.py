"""Tiny datasets in the exact formats of the real ones, written by the tests that read them."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.datasets.sample import MaskSample, Sample
from stamp.pictures.masks import Rle, encode_rle

SIZE_HW = (48, 64)
SPLITS = ("known", "style", "background")
RIVALS = {
    "numbers": [["no", "none", "0"], ["one", "1"], ["two", "2"]],
    "yes_no": [["yes"], ["no"]],
    "nouns": [["circle", "circles"], ["apple", "apples"], ["boat", "boats"]],
}


def draw_picture(path: Path, seed: int, size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    """Write a disc on a noisy background; returns the disc's mask, bool (H, W)."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    centre, radius = rng.uniform((0.3, 0.3), (0.7, 0.7)) * size_hw, rng.uniform(0.15, 0.3) * min(size_hw)
    mask = np.hypot(*(np.indices(size_hw) - centre[:, None, None])) < radius
    pixels = rng.integers(60, 90, (height, width, 3), dtype=np.uint8)
    pixels[mask] = rng.integers(120, 250, 3, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return np.asarray(mask)


def box_rle(x: int, y: int, width: int, height: int, size_hw: tuple[int, int] = SIZE_HW) -> Rle:
    """A filled box."""
    mask = np.zeros(size_hw, dtype=bool)
    mask[y : y + height, x : x + width] = True
    return encode_rle(mask)


def scene(number: int, split: str, mask: np.ndarray) -> dict[str, Any]:
    """One line of scenes.jsonl: a disc to segment, a boat that is not there, two questions."""
    code = encode_rle(mask)
    return {
        "id": f"{split}-{number:04}",
        "split": split,
        "image": f"images/{split}-{number:04}.png",
        "width": mask.shape[1],
        "height": mask.shape[0],
        "licences": ["drawn by the test"],
        "objects": [{"noun": "circle", "rle": code}],
        "expressions": [
            {"kind": "segment", "text": "segment the circle", "phrase": "circle", "rle": code},
            {"kind": "segment_absent", "text": "Where is the boat?", "phrase": None, "rle": None},
        ],
        "questions": [
            {
                "kind": "count",
                "text": "How many circles are there?",
                "accepted": ["one", "1"],
                "rivals": ["numbers", "nouns"],
            },
            {"kind": "exists", "text": "Is there a boat?", "accepted": ["no"], "rivals": ["yes_no", "nouns"]},
        ],
    }


def truth(sample: Sample) -> np.ndarray:
    """The right mask, bool (H, W)."""
    assert isinstance(sample, MaskSample)
    return sample.truth().mask


def write_scenes(root: Path, per_split: int = 1, splits: Sequence[str] = SPLITS) -> Path:
    """A folder of scenes; every other picture is upright."""
    lines = []
    for split in splits:
        for number in range(per_split):
            size_hw = SIZE_HW if number % 2 == 0 else SIZE_HW[::-1]
            mask = draw_picture(root / f"images/{split}-{number:04}.png", number, size_hw)
            lines.append(json.dumps(scene(number, split, mask)))
    (root / "scenes.jsonl").write_text("\n".join(lines) + "\n")
    (root / "rivals.json").write_text(json.dumps(RIVALS))
    return root


# -- RefCOCO and its kin -------------------------------------------------------------------------------------------

CROWD_COUNTS = [10, 5, 43, 5, SIZE_HW[0] * SIZE_HW[1] - 63]
ANNOTATIONS = [
    {"id": 100, "image_id": 7, "iscrowd": 0, "segmentation": [[10.0, 5.0, 30.0, 5.0, 30.0, 25.0, 10.0, 25.0]]},
    {
        "id": 101,
        "image_id": 7,
        "iscrowd": 0,
        "segmentation": [[40.0, 10.0, 60.0, 10.0, 60.0, 30.0], [38.0, 8.0, 50.0, 8.0, 50.0, 20.0, 38.0, 20.0]],
    },
    {"id": 102, "image_id": 8, "iscrowd": 1, "segmentation": {"size": list(SIZE_HW), "counts": CROWD_COUNTS}},
    {"id": 103, "image_id": 8, "iscrowd": 0, "segmentation": box_rle(3, 4, 10, 12)},
]


def file_name(image_id: int) -> str:
    """As COCO names its pictures."""
    return f"COCO_train2014_{image_id:012}.jpg"


def instances() -> dict[str, Any]:
    """instances.json."""
    images = [{"id": one, "file_name": file_name(one), "height": SIZE_HW[0], "width": SIZE_HW[1]} for one in (7, 8)]
    extra = {"category_id": 1, "area": 1.0, "bbox": [0, 0, 1, 1]}
    return {
        "info": {},
        "licenses": [],
        "images": images,
        "annotations": [annotation | extra for annotation in ANNOTATIONS],
        "categories": [{"id": 1, "name": "thing", "supercategory": "stuff"}],
    }


def reference(ref_id: int, image_id: int, ann_id: Any, split: str, sentences: Sequence[str]) -> dict[str, Any]:
    """An entry of refs(unc).p, and of grefs(unc).json, where ann_id is a list."""
    first = 10 * ref_id
    return {
        "ref_id": ref_id,
        "ann_id": ann_id,
        "image_id": image_id,
        "category_id": 1,
        "split": split,
        "file_name": f"COCO_train2014_{image_id:012}_{ref_id}.jpg",
        "sent_ids": list(range(first, first + len(sentences))),
        "sentences": [
            {"tokens": text.lower().split(), "raw": text, "sent": text.lower(), "sent_id": first + number}
            for number, text in enumerate(sentences)
        ],
    }


REFERENCES = [
    reference(1, 7, 100, "val", ["The left box", "left "]),
    reference(2, 7, 101, "testA", ["two shapes"]),
    reference(3, 8, 102, "val", ["the crowd"]),
    reference(4, 8, 103, "testB", ["small box"]),
    reference(5, 8, 103, "train", ["box to learn from"]),
]
GENERAL_REFERENCES = [
    reference(1, 7, [100, 101], "val", ["everything"]),
    reference(2, 7, [-1], "val", ["a zebra"]),
    reference(3, 8, [103], "val", ["the box"]),
    reference(4, 8, [102, 103], "testA", ["crowd and box"]),
]


def write_refer(
    root: Path, name: str = "refcoco", base: str = "refer_seg", images: str = "images/mscoco/images/train2014"
) -> Path:
    """One of the datasets in the layout of LISA's repository; a pickle of Python 2's time has protocol 2 at most."""
    folder = root / base / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instances.json").write_text(json.dumps(instances()))
    if name == "grefcoco":
        (folder / "grefs(unc).json").write_text(json.dumps(GENERAL_REFERENCES))
    else:
        by = {"refcocog": "umd"}.get(name, "unc")
        (folder / f"refs({by}).p").write_bytes(pickle.dumps(REFERENCES, protocol=2))
    for image_id in (7, 8):
        draw_picture(root / base / images / file_name(image_id), image_id)
    return root


# -- ReasonSeg -----------------------------------------------------------------------------------------------------


def write_reasonseg(root: Path) -> Path:
    """One question and one phrase in `val`, one in `train`; one file in Windows' encoding."""
    target = {"label": "target", "labels": ["target"], "shape_type": "polygon", "points": [[5, 5], [30, 5], [30, 30.7]]}
    ignore = {"label": "ignore", "labels": ["ignore"], "shape_type": "polygon", "points": [[40, 5], [60, 5], [60, 40]]}
    files = {
        "val/1_a.jpg": (["What keeps the rain off?", "another wording"], True, [target, ignore]),
        "val/2_b.jpg": (["the señor’s hat"], False, [target]),
        "train/3_c.jpg": (["shade"], False, [target]),
    }
    for name, (text, is_sentence, shapes) in files.items():
        picture = root / "reason_seg" / "ReasonSeg" / name
        draw_picture(picture, len(name))
        content = json.dumps({"text": text, "is_sentence": is_sentence, "shapes": shapes}, ensure_ascii=False)
        picture.with_suffix(".json").write_bytes(content.encode("cp1252" if "2_b" in name else "utf-8"))
    return root

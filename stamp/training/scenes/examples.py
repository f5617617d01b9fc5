"""The page's example pictures: composed scenes with seeds that no training uses, two photographs, and questions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from stamp.pictures.masks import encode_rle
from stamp.training.scenes.art import PANORAMA_SOURCE, STYLE_SOURCES, ArtLibrary
from stamp.training.scenes.scene_config import SceneConfig
from stamp.training.scenes.scenes import VALIDATION_SEEDS, compose_scene


@dataclass(frozen=True)
class Ask:
    """A question about a picture, and the right answer.

    objects: the numbers, from 1, of the scene's objects that the answer should mask; empty if it should have no mask.
    outline: the same for a photograph, as corners (x, y) in pixels, drawn by hand. says: if not empty, the answer
    contains one of these words.
    """

    prompt: str
    objects: tuple[int, ...] = ()
    outline: tuple[tuple[int, int], ...] = ()
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """One composed picture and its questions."""

    name: str
    seed: int
    size_wh: tuple[int, int]
    style: str
    asks: tuple[Ask, ...]


@dataclass(frozen=True)
class ExamplePhotograph:
    """One photograph in `assets/examples` and its questions."""

    file: str
    licence: str
    notice: str
    asks: tuple[Ask, ...]


CAT = (
    (38, 0), (30, 50), (34, 115), (15, 150), (0, 165), (0, 299), (395, 299), (375, 265), (335, 235), (345, 190),
    (362, 140), (362, 90), (352, 65), (400, 0),
)  # fmt: skip
PERSON = (
    (175, 60), (225, 25), (275, 60), (285, 120), (270, 180), (310, 210), (320, 240), (390, 260), (430, 330), (400, 350),
    (330, 360), (305, 420), (300, 511), (0, 511), (10, 400), (50, 290), (90, 255), (150, 225), (155, 190), (180, 170),
    (165, 110),
)  # fmt: skip
PHOTOGRAPHS = (
    ExamplePhotograph(
        "chelsea.jpg",
        "CC0-1.0",
        "Chelsea the cat, by Stéfan van der Walt; from scikit-image.",
        (Ask("segment the cat", outline=CAT), Ask("is there a dog in the picture?", says=("no",))),
    ),
    ExamplePhotograph(
        "astronaut.jpg",
        "public domain",
        "Astronaut Eileen Collins, by NASA; from scikit-image.",
        (Ask("segment the person", outline=PERSON),),
    ),
)
PHOTOGRAPHS_FOLDER = Path(__file__).resolve().parents[3] / "assets" / "examples"
_FIRST = VALIDATION_SEEDS.start + 5000  # after the seeds of the evaluation
EXAMPLES: tuple[Example, ...] = (
    Example("lemon", _FIRST + 100, (512, 448), "noto-v1", (Ask("segment the lemon", (2,)),)),
    Example("salads", _FIRST + 106, (512, 448), "noto", (Ask("segment all salads", (1, 2, 3)),)),
    Example("camel", _FIRST + 103, (512, 448), "noto-v1", (Ask("segment the camel", (5,)),)),
    Example("poodle", _FIRST + 107, (512, 448), "noto-v1", (Ask("segment the poodle", (2,)),)),
    Example("accordion", _FIRST + 104, (512, 448), "fluent3d", (Ask("segment the gizmo", says=("know",)),)),
)


def write_examples(art: ArtLibrary, folder: Path) -> None:
    """Write the pictures, `examples.json` and the licence notices of their art and photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    for example in EXAMPLES:
        width, height = example.size_wh
        config = SceneConfig((example.style,), width, height, augment=False)
        scene = compose_scene(example.seed, art, config)
        file = f"{example.name}.webp"
        Image.fromarray(scene.image).save(folder / file, quality=90, method=6)
        source = STYLE_SOURCES[example.style]
        for ask in example.asks:
            mask = np.isin(scene.labels, ask.objects)
            entries.append(_entry(file, ask, f"{source.spec}, {source.licence}", mask))
    for photo in PHOTOGRAPHS:
        path = folder / photo.file
        path.write_bytes((PHOTOGRAPHS_FOLDER / photo.file).read_bytes())
        with Image.open(path) as opened:
            size_wh = opened.size
        entries += [_entry(photo.file, ask, photo.licence, _inside(ask.outline, size_wh)) for ask in photo.asks]
    (folder / "examples.json").write_text(json.dumps(entries, indent=1) + "\n")
    used = {example.style: STYLE_SOURCES[example.style] for example in EXAMPLES}
    notices = [f"- {s.spec}, {s.licence}: {s.notice}" for s in (*used.values(), PANORAMA_SOURCE)]
    photographs = [f"- {photo.file}, {photo.licence}: {photo.notice}" for photo in PHOTOGRAPHS]
    text = "\n".join(
        [
            "# Licences of the example pictures\n\nPhotographs:\n",
            *photographs,
            "\nThe others are scenes composed by this project from:\n",
            *notices,
            "",
        ]
    )
    (folder / "LICENCES.md").write_text(text)


def _entry(image: str, ask: Ask, licence: str, mask: np.ndarray) -> dict[str, Any]:
    """mask: the union of what the answer should show; empty if it should show nothing."""
    entry: dict[str, Any] = {"image": image, "prompt": ask.prompt, "licence": licence, "says": list(ask.says)}
    return entry | {"mask": encode_rle(mask) if mask.any() else None}


def _inside(outline: Sequence[tuple[int, int]], size_wh: tuple[int, int]) -> np.ndarray:
    drawing = Image.new("1", size_wh)
    if outline:
        ImageDraw.Draw(drawing).polygon(list(outline), fill=1)
    return np.asarray(drawing)

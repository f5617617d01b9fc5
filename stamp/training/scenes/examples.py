"""The example pictures of the page: composed scenes with seeds no training uses, two photographs, and what to ask."""

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from stamp.training.scenes.art import PANORAMA_SOURCE, STYLE_SOURCES, ArtLibrary
from stamp.training.scenes.scene_config import SceneConfig
from stamp.training.scenes.scenes import VALIDATION_SEEDS, compose_scene


@dataclass(frozen=True)
class Example:
    """One picture and what to ask about it."""

    name: str
    seed: int
    size_wh: tuple[int, int]
    style: str
    prompts: tuple[str, ...]


_FIRST = VALIDATION_SEEDS.start + 5000  # behind the seeds of the evaluation
EXAMPLES: tuple[Example, ...] = (
    Example("octopuses", _FIRST + 8, (448, 640), "fluent3d", ("segment both octopuses",)),
    Example("bus", _FIRST + 34, (640, 448), "twemoji", ("segment the pine and the watermelon",)),
    Example("burrito", _FIRST + 7, (640, 448), "noto-v1", ("segment something you can eat",)),
    Example(
        "sunflower", _FIRST + 9, (512, 512), "noto", ("what is at the top?", "segment the object left of the flamingo")
    ),
    Example(
        "cat", _FIRST + 12, (512, 512), "fluent3d", ("is there a telescope in the picture?", "segment the bigger mouth")
    ),
    Example("crab", _FIRST + 19, (640, 448), "noto-v1", ("segment the gizmo",)),
)


@dataclass(frozen=True)
class ExamplePhotograph:
    """One photograph, which lies in `assets/examples`, and what to ask about it."""

    file: str
    prompts: tuple[str, ...]
    licence: str
    notice: str


PHOTOGRAPHS = (
    ExamplePhotograph(
        "chelsea.jpg", ("segment the cat",), "CC0-1.0", "Chelsea the cat, by Stéfan van der Walt; from scikit-image."
    ),
    ExamplePhotograph(
        "coffee.jpg", ("segment the cup",), "CC0-1.0", "A cup of coffee, by Rachel Michetti; from scikit-image."
    ),
)
PHOTOGRAPHS_FOLDER = Path(__file__).resolve().parents[3] / "assets" / "examples"


def write_examples(art: ArtLibrary, folder: Path) -> None:
    """Write the pictures, `examples.json` and the notice of whose art and photographs they show."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for photo in PHOTOGRAPHS:
        content = (PHOTOGRAPHS_FOLDER / photo.file).read_bytes()
        (folder / photo.file).write_bytes(content)
        entries += [{"image": photo.file, "prompt": prompt, "licence": photo.licence} for prompt in photo.prompts]
    for example in EXAMPLES:
        width, height = example.size_wh
        config = SceneConfig((example.style,), width, height, augment=False)
        scene = compose_scene(example.seed, art, config)
        Image.fromarray(scene.image).save(folder / f"{example.name}.png", optimize=True)
        source = STYLE_SOURCES[example.style]
        licence = f"{source.spec}, {source.licence}"
        image = f"{example.name}.png"
        entries += [{"image": image, "prompt": prompt, "licence": licence} for prompt in example.prompts]
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

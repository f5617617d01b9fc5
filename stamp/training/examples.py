"""The example pictures of the page: composed scenes with seeds no training uses, and a prompt for each."""

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from stamp.training.art import PANORAMA_SOURCE, STYLE_SOURCES, ArtLibrary
from stamp.training.scene_config import SceneConfig
from stamp.training.scenes import VALIDATION_SEEDS, compose_scene


@dataclass(frozen=True)
class Example:
    """One picture and what to ask about it."""

    name: str
    seed: int
    size_wh: tuple[int, int]
    style: str
    prompt: str


_FIRST = VALIDATION_SEEDS.start + 5000  # behind the seeds of the evaluation
EXAMPLES: tuple[Example, ...] = (
    Example("crab", _FIRST + 3, (512, 512), "noto", "segment the crab"),
    Example("cookie", _FIRST + 6, (512, 512), "fluent3d", "segment the cookie and the cloud"),
    Example("strawberry", _FIRST + 1, (640, 448), "noto", "segment something you can eat"),
    Example("sunflowers", _FIRST + 11, (448, 640), "noto", "segment the biggest sunflower"),
    Example("rooster", _FIRST + 9, (512, 512), "noto", "what is to the left of the rooster?"),
    Example("turtle", _FIRST + 5, (448, 640), "noto", "segment the topmost object"),
)


def write_examples(art: ArtLibrary, folder: Path) -> None:
    """Write the pictures, `examples.json` and the notice of whose art they show."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for example in EXAMPLES:
        width, height = example.size_wh
        config = SceneConfig((example.style,), width, height, augment=False)
        scene = compose_scene(example.seed, art, config)
        Image.fromarray(scene.image).save(folder / f"{example.name}.png", optimize=True)
        source = STYLE_SOURCES[example.style]
        licence = f"{source.spec}, {source.licence}"
        entries.append({"image": f"{example.name}.png", "prompt": example.prompt, "licence": licence})
    (folder / "examples.json").write_text(json.dumps(entries, indent=1) + "\n")
    used = {example.style: STYLE_SOURCES[example.style] for example in EXAMPLES}
    notices = [f"- {s.spec}, {s.licence}: {s.notice}" for s in (*used.values(), PANORAMA_SOURCE)]
    text = "# Licences of the example pictures\n\nScenes composed by this project from:\n\n" + "\n".join(notices) + "\n"
    (folder / "LICENCES.md").write_text(text)

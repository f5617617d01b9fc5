"""Things cut out of photographs, as another style of art, and photographs as backgrounds of composed scenes."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from tqdm import tqdm

from stamp.pictures.masks import mask_image
from stamp.training.scenes.art import PHOTO_STYLE
from stamp.training.scenes.photographs import Photograph
from stamp.training.scenes.rasterise import fit_sprite, write_png

CUTOUT_SIDE_PX = 192
#: Smaller cut-outs show nothing when enlarged; more per noun would only fill memory.
MIN_CUTOUT_PX, MOST_OF_A_NOUN = 1500, 60
#: Beside the finished cut-outs: which photographs they are from.
COMPLETE_FILE = "complete"


def write_cutouts(photographs: Sequence[Photograph], art_folder: Path, style: str = PHOTO_STYLE) -> None:
    """Write one PNG per whole object: `sprites/<style>/<noun>/<number>.png`.

    Does nothing if the folder has the cut-outs of just these photographs; those of others are removed.
    """
    target = art_folder / "sprites" / style
    marker, names = target / COMPLETE_FILE, _names(photographs)
    if marker.is_file():
        if marker.read_text() == names:
            return
        shutil.rmtree(target, ignore_errors=True)  # not without a marker: another process may be writing the same
    counts: Counter[str] = Counter()
    for photo in tqdm(photographs, desc="cut-outs", unit="photograph"):
        if not photo.has_masks or all(counts[item.noun.name] >= MOST_OF_A_NOUN for item in photo.objects):
            continue
        with Image.open(photo.path) as file:
            picture = file.convert("RGB")
        masks = [item.read_mask() for item in photo.objects if item.read_mask]
        for item, mask in zip(photo.objects, masks, strict=True):
            name = item.noun.name
            if counts[name] < MOST_OF_A_NOUN and _is_whole(mask):
                write_png(cut_out(picture, mask), target / name / f"{counts[name]:03}.png")
                counts[name] += 1
    target.mkdir(parents=True, exist_ok=True)
    marker.write_text(names)


def _names(photographs: Sequence[Photograph]) -> str:
    """The photographs and the nouns they show, one picture a line."""
    return "\n".join(
        sorted(f"{photo.path.resolve()} {' '.join(item.noun.name for item in photo.objects)}" for photo in photographs)
    )


def cut_out(picture: Image.Image, mask: np.ndarray) -> Image.Image:
    """The masked pixels as RGBA, longest side 192 px. The soft edge is just inside the mask, which is rarely exact."""
    alpha = mask_image(mask).filter(ImageFilter.MinFilter(3))
    picture = picture.copy()
    picture.putalpha(alpha.filter(ImageFilter.GaussianBlur(0.7)))
    sprite = fit_sprite(picture)
    sprite.thumbnail((CUTOUT_SIDE_PX, CUTOUT_SIDE_PX), Image.Resampling.LANCZOS)
    return sprite


def _is_whole(mask: np.ndarray) -> bool:
    """Whether it is large enough and not cut off by the picture's edge, except the lower one (people stand on it)."""
    return bool(mask.sum() >= MIN_CUTOUT_PX and not (mask[0].any() or mask[:, 0].any() or mask[:, -1].any()))

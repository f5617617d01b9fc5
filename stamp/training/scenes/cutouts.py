"""Things cut out of photographs, as another style of art, and photographs as backgrounds of composed scenes."""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from tqdm import tqdm

from stamp.pictures.masks import mask_image
from stamp.training.scenes.photographs import Photograph
from stamp.training.scenes.rasterise import fit_sprite, write_png

CUTOUT_SIDE_PX = 192
#: Smaller cut-outs show nothing when enlarged; more per noun would only fill memory.
MIN_CUTOUT_PX, MOST_OF_A_NOUN = 1500, 60


def write_cutouts(photographs: Sequence[Photograph], art_folder: Path) -> Path:
    """The folder of these photographs' cut-outs: one PNG per whole object, `<noun>/<number>.png`.

    It is written once, and never changed: other photographs, or other nouns in them, have a folder of their own.
    """
    names = "\n".join(f"{photo.path.resolve()} {[item.noun.name for item in photo.objects]}" for photo in photographs)
    target = art_folder / "cutouts" / hashlib.sha256(names.encode()).hexdigest()[:16]
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        unfinished = Path(scratch) / "unfinished"
        unfinished.mkdir()
        _write(photographs, unfinished)
        try:
            os.replace(unfinished, target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster
                raise
    return target


def _write(photographs: Sequence[Photograph], folder: Path) -> None:
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
                write_png(cut_out(picture, mask), folder / name / f"{counts[name]:03}.png")
                counts[name] += 1


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

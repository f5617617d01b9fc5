"""Turns the files of artwork packages into images: drawings and renders to RGBA, HDR panoramas to sRGB.

Each rasteriser maps the key of a drawing (an emoji code point, or the name of a render) to its image. It gets the
unpacked packages by style.
"""

import base64
import binascii
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from stamp.pictures.masks import mask_image

SPRITE_SIDE_PX = 256
PANORAMA_SATURATION = 1.2

Rasteriser = Callable[[str], Image.Image]
Fetch = Callable[[str], Path]  # the unpacked package of a style


class ArtError(ValueError):
    """Artwork could not be installed or found; the message says what to do."""


def _file_of_code(package: Path, code: str, suffix: str) -> Path:
    for stem in (code, f"{code}-fe0f"):
        path = package / f"{stem}{suffix}"
        if path.is_file():
            return path
    raise ArtError(f"{package} has no drawing of {code}; take its noun out or leave this style out")


def _fluent_rasteriser(fetch: Fetch) -> Rasteriser:
    assets = fetch("fluent3d") / "assets"
    return lambda code: Image.open(_file_of_code(assets, code, ".webp")).convert("RGBA")


def _twemoji_rasteriser(fetch: Fetch) -> Rasteriser:
    package = fetch("twemoji")
    return lambda code: render_svg(_file_of_code(package, code, ".svg").read_text())


def _iconify_rasteriser(style: str, fetch: Fetch) -> Rasteriser:
    """Iconify packages name their icons; only Noto's maps names to codes, and the others use the same names."""
    package = fetch(style)
    icons = json.loads((package / "icons.json").read_text())
    names = _names_of_codes(fetch("noto"))

    def rasterise(code: str) -> Image.Image:
        for name in names.get(code, ()):
            icon = icons["icons"].get(icons.get("aliases", {}).get(name, {}).get("parent", name))
            if icon is not None:
                side = [icon.get(key, icons.get(key, 16)) for key in ("width", "height")]
                box = f'viewBox="0 0 {side[0]} {side[1]}"'
                return render_svg(f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{icon["body"]}</svg>')
        raise ArtError(f"{package} has no drawing of {code}; take its noun out or leave this style out")

    return rasterise


def _names_of_codes(noto: Path) -> dict[str, list[str]]:
    """The icon names of each code without its variation selector, the usual name first."""
    icons = json.loads((noto / "icons.json").read_text())
    aliases = {alias: entry["parent"] for alias, entry in icons.get("aliases", {}).items()}
    others: dict[str, list[str]] = {}
    for alias, parent in aliases.items():
        others.setdefault(parent, []).append(alias)
    names: dict[str, list[str]] = {}
    for code, name in json.loads((noto / "chars.json").read_text()).items():
        parent = aliases.get(name, name)
        names[code.replace("-fe0f", "")] = [parent, *others.get(parent, ())]
    return names


def _furniture_rasteriser(fetch: Fetch) -> Rasteriser:
    """Renders are at "catalogue/name.png" in the catalogues, which are .sh3f (zip) files."""
    folder = fetch("sweethome3d") / "usr" / "share" / "sweethome3d" / "furniture"
    catalogues = [zipfile.ZipFile(path) for path in sorted(folder.glob("*.sh3f"))]
    where = {name: catalogue for catalogue in catalogues for name in catalogue.namelist()}

    def rasterise(key: str) -> Image.Image:
        catalogue = where.get(f"{key}.png")
        if catalogue is None:
            raise ArtError(f"{folder} has no render {key}; take it out of its noun or leave this style out")
        return Image.open(io.BytesIO(catalogue.read(f"{key}.png"))).convert("RGBA")

    return rasterise


RASTERISERS: dict[str, Callable[[Fetch], Rasteriser]] = {
    "fluent3d": _fluent_rasteriser,
    "noto": partial(_iconify_rasteriser, "noto"),
    "twemoji": _twemoji_rasteriser,
    "noto-v1": partial(_iconify_rasteriser, "noto-v1"),
    "emojione": partial(_iconify_rasteriser, "emojione"),
    "sweethome3d": _furniture_rasteriser,
}


def render_svg(svg: str) -> Image.Image:
    """An SVG as RGBA, 1.5 times wider than a sprite so that trimming loses no sharpness."""
    import resvg_py  # needed at install only

    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SPRITE_SIDE_PX * 3 // 2))))


def fit_sprite(image: Image.Image) -> Image.Image:
    """The image as RGBA, trimmed to alpha >= 16 and scaled down to a longest side of `SPRITE_SIDE_PX`."""
    image = image.convert("RGBA")
    box = image.getchannel("A").point(lambda alpha: 255 if alpha >= 16 else 0).getbbox()
    if box is None:
        raise ArtError("a drawing is fully transparent")
    image = image.crop(box)
    scale = min(1.0, SPRITE_SIDE_PX / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if scale == 1.0 else image.resize(size, Image.Resampling.LANCZOS)


def write_png(image: Image.Image, path: Path) -> None:
    """Writes a PNG so that the path holds either the whole image or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    image.save(partial, format="PNG")
    os.replace(partial, path)


def decode_exr_script(script: Path) -> np.ndarray:
    """(256, 512, 3) float32 linear light from a JavaScript module holding an OpenEXR data URL."""
    import OpenEXR  # needed at install only

    try:
        payload = base64.b64decode(script.read_text().split("base64,", 1)[1].split("'", 1)[0], validate=True)
    except (IndexError, binascii.Error) as error:
        raise ArtError(f"{script} does not hold an OpenEXR data URL") from error
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "panorama.exr"
        path.write_bytes(payload)
        return np.asarray(OpenEXR.File(str(path)).channels()["RGB"].pixels, np.float32)


def tone_map(linear: np.ndarray) -> np.ndarray:
    """(h, w, 3) linear light of any range to (h, w, 3) uint8 sRGB, middle exposure, saturation x1.2.

    Negative and non-finite values (ringing of the lossy EXR) are clipped before anything else.
    """
    light = np.nan_to_num(np.clip(linear, 0.0, 1e4), nan=0.0)
    exposed = light * (0.18 / max(float(np.median(light)), 1e-4)) ** 0.85
    filmic = exposed * (2.51 * exposed + 0.03) / (exposed * (2.43 * exposed + 0.59) + 0.14)  # ACES fit
    colour = np.clip(filmic, 0.0, 1.0) ** (1 / 2.2)
    grey = colour.mean(axis=2, keepdims=True)
    saturated = np.clip(grey + (colour - grey) * PANORAMA_SATURATION, 0.0, 1.0)
    return _fill_light_cores(np.round(saturated * 255).astype(np.uint8), exposed.max(axis=2) > 8)


def _fill_light_cores(image: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """Fills the dark specks (up to 8 px) that the lossy EXR leaves in and around lamps and the sun.

    Args:
        image: (h, w, 3) uint8.
        bright: (h, w) bool, pixels of light sources.
    """
    picture = Image.fromarray(image)
    closed = np.asarray(picture.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.MinFilter(9)))
    near = np.asarray(mask_image(bright).filter(ImageFilter.MaxFilter(9))) > 0
    return np.where(near[..., None], closed, image)

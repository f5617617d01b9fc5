"""Installs the artwork of the training scenes and serves it: sprites by style and noun, and panoramas.

`install_art` is the only function that uses the network. It leaves one trimmed PNG per drawing and one PNG per panorama
in the folder, so that training reads nothing else.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.packages import ArtSource, fetch
from stamp.training.scenes.rasterise import RASTERISERS, ArtError, decode_exr_script, fit_sprite, tone_map, write_png

HELD_OUT_PANORAMAS = ("apartment", "bridge", "hall", "night", "park", "venice")


STYLE_SOURCES: dict[str, ArtSource] = {
    "fluent3d": ArtSource(
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "sha512-Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==",
        "MIT",
        "Fluent Emoji, Copyright (c) Microsoft Corporation, MIT License (the package has no LICENSE file).",
    ),
    "noto": ArtSource(
        "@iconify-json/noto",
        "1.2.9",
        "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "Apache-2.0",
        "Noto Emoji, Copyright Google LLC, Apache License 2.0.",
    ),
    "twemoji": ArtSource(
        "@twemoji/svg",
        "15.0.0",
        "sha512-ZSPef2B6nBaYnfgdTbAy4jgW95o7pi2xPGwGCU+WMTxo7J6B1lMPTWwSq/wTuiMq+N0khQ90CcvYp1wFoQpo/w==",
        "CC-BY-4.0",
        "Twemoji, Copyright Twitter, Inc and other contributors, graphics CC-BY 4.0; packaging MIT.",
    ),
    "noto-v1": ArtSource(
        "@iconify-json/noto-v1",
        "1.2.5",
        "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
        "Apache-2.0",
        "Noto Emoji version 1, Copyright Google LLC, Apache License 2.0.",
    ),
    "emojione": ArtSource(
        "@iconify-json/emojione",
        "1.2.3",
        "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
        "CC-BY-4.0",
        "EmojiOne 2, as kept by EmojiTwo, Copyright Emoji One, CC-BY 4.0.",
    ),
    "sweethome3d": ArtSource(
        "sweethome3d-furniture",
        "1.8-1",
        "sha512-E8gA3cZIu2d2hy4iu8sTrgQR0Jy191BQtoojBx1FF+fIJ2Y3k0aaUk/Ug5NW9j0f38UZDNSuUDsQYb/pwsMZxQ==",
        "CC0-1.0 and CC-BY-3.0",
        "SweetHome3D models: Blend Swap contributors (CC0; CC-BY 3.0), Andrew Kator & Jennifer Legaz (CC-BY 3.0 US), "
        "Scopia Visual Interfaces Systems (CC-BY 3.0), eTeks.",
        "debian",
    ),
}

PANORAMA_SOURCE = ArtSource(
    "@pmndrs/assets",
    "1.7.0",
    "sha512-zHmKNS+3Jvu9K3zJBQfYQKT9Pn9IQt8s0q/eJC3CXKpWpyg6IBa+ivN9NgDn+fDT2AVjUh2YRZ//GXUueuAdCg==",
    "CC0-1.0",
    "HDR panoramas of Poly Haven and others, dedicated to the public domain.",
)

#: 50 landscapes, 500 px wide. The package is MIT, but each photograph's licence is not stated: only for training.
BACKDROP_SOURCE = ArtSource(
    "tabler-ui",
    "0.0.34",
    "sha512-1stQxEx9rfCDaBKh6cNF8boP4FvLERrLdeWj7FXJYgxhxeglaJaymN1bG2davVWysDVhaL20PoZT4RNBYVGCHA==",
    "MIT (the package; the photographs' own licences are not stated)",
    "Landscape photographs from Unsplash, as bundled with tabler-ui; used as backgrounds in training, never shown.",
)


#: Things cut out of photographs (`stamp.training.scenes.cutouts`), as found in their folder: those of the training, and
#: those of photographs that training never sees.
PHOTO_STYLE, HELD_OUT_PHOTO_STYLE = "photo", "photo-held-out"
CUTOUT_STYLES = (PHOTO_STYLE, HELD_OUT_PHOTO_STYLE)


class ArtLibrary:
    """Sprites by (style, noun), and backgrounds; loads lazily and can be sent to worker processes.

    A style need not draw every noun, and may draw one several times: `drawings` counts them, `nouns_in` lists the
    nouns of some styles. `sprite` gives (h, w, 4) uint8 RGBA, not premultiplied, trimmed to its visible box, longest
    side 256 px for installed art. `panoramas` gives (256, 512, 3) uint8 equirectangular images, tone-mapped, horizon on
    the middle row; with `held_out` the six of `HELD_OUT_PANORAMAS`, otherwise the others. `backdrops` are landscapes,
    (h, w, 3) uint8; the held-out library has none. cutouts: the folder of cut-outs, for one of their styles.
    """

    def __init__(
        self,
        folder: Path,
        styles: Sequence[str],
        nouns: Sequence[Noun],
        held_out: bool = False,
        cutouts: Path | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.styles = tuple(styles)
        self.nouns = tuple(nouns)
        self._held_out = held_out
        self._arrays: dict[tuple[str, str], np.ndarray] = {}
        self._panoramas: list[np.ndarray] | None = None
        self._backdrops: list[np.ndarray] | None = None
        self._cutouts = {} if cutouts is None else _find_cutouts(cutouts)
        self._nouns_in: dict[tuple[str, ...], tuple[Noun, ...]] = {}
        self._mipmaps: dict[tuple[str, str, int], tuple[Image.Image, ...]] = {}
        self._opacities: dict[tuple[str, str, int], tuple[Image.Image, ...]] = {}
        self._coverage: dict[tuple[str, str, int], float] = {}
        self._require_files()

    @classmethod
    def from_arrays(
        cls,
        sprites: Mapping[tuple[str, str], np.ndarray],
        nouns: Sequence[Noun],
        panoramas: Sequence[np.ndarray] = (),
    ) -> "ArtLibrary":
        """A library without files, from {(style, noun name): (h, w, 4) uint8 RGBA}."""
        for key, array in sprites.items():
            if array.ndim != 3 or array.shape[2] != 4 or array.dtype != np.uint8:
                raise ValueError(f"sprite {key}: expected (h, w, 4) uint8, got {array.shape} {array.dtype}")
        library = cls(Path(), (), nouns)
        library.styles = tuple(dict.fromkeys(style for style, _ in sprites))
        library._arrays = dict(sprites)
        library._panoramas, library._backdrops = list(panoramas), []
        return library

    def drawings(self, style: str, noun: Noun) -> int:
        """The number of drawings of a noun in one style; 0 if the style does not show it."""
        if self._arrays:
            return int((style, noun.name) in self._arrays)
        return len(self._files(style, noun)) if style in self.styles else 0

    def _files(self, style: str, noun: Noun) -> tuple[Path, ...]:
        if style in CUTOUT_STYLES:
            return self._cutouts.get(noun.name, ())
        return tuple(sprite_path(self.folder, style, drawing) for drawing in noun.drawings_in(style))

    def nouns_in(self, styles: Sequence[str]) -> tuple[Noun, ...]:
        """The nouns that at least one of these styles shows, in the library's order."""
        key = tuple(styles)
        if key not in self._nouns_in:
            shown = [noun for noun in self.nouns if any(self.drawings(style, noun) for style in key)]
            self._nouns_in[key] = tuple(shown)
        return self._nouns_in[key]

    def sprite(self, style: str, noun: Noun, drawing: int = 0) -> np.ndarray:
        """(h, w, 4) uint8 RGBA of one drawing of a noun. Raises ArtError if there is none."""
        if not 0 <= drawing < self.drawings(style, noun):
            raise ArtError(f"this library holds no drawing {drawing} of {noun.name!r} in style {style!r}")
        if self._arrays:
            return self._arrays[style, noun.name]
        return np.asarray(Image.open(self._files(style, noun)[drawing]).convert("RGBA"))

    def mipmap(self, style: str, noun: Noun, drawing: int = 0) -> tuple[Image.Image, ...]:
        """The sprite premultiplied by alpha at full, half, quarter... size, as 4-channel PIL images.

        Mode "RGBa" is PIL's name for premultiplied colour; each level is half as wide as the last, down to 32 px.
        """
        key = (style, noun.name, drawing)
        if key not in self._mipmaps:
            level = Image.fromarray(self.sprite(style, noun, drawing)).convert("RGBa")
            levels = [level]
            while max(level.size) >= 64:
                level = level.resize((max(1, level.width // 2), max(1, level.height // 2)), Image.Resampling.BOX)
                levels.append(level)
            self._mipmaps[key] = tuple(levels)
        return self._mipmaps[key]

    def opacity_mipmap(self, style: str, noun: Noun, drawing: int = 0) -> tuple[Image.Image, ...]:
        """The levels of `mipmap` as opacity only, mode "L"."""
        key = (style, noun.name, drawing)
        if key not in self._opacities:
            self._opacities[key] = tuple(level.getchannel("a") for level in self.mipmap(style, noun, drawing))
        return self._opacities[key]

    def coverage(self, style: str, noun: Noun, drawing: int = 0) -> float:
        """The mean opacity of a sprite over its box, 0..1."""
        key = (style, noun.name, drawing)
        if key not in self._coverage:
            self._coverage[key] = float(np.asarray(self.opacity_mipmap(style, noun, drawing)[0]).mean()) / 255
        return self._coverage[key]

    @property
    def panoramas(self) -> list[np.ndarray]:
        """The panoramas of this library's split, each (256, 512, 3) uint8, in order of name."""
        if self._panoramas is None:
            paths = sorted((self.folder / "panoramas").glob("*.png"))
            chosen = [path for path in paths if (path.stem in HELD_OUT_PANORAMAS) == self._held_out]
            self._panoramas = [np.asarray(Image.open(path).convert("RGB")) for path in chosen]
        return self._panoramas

    @property
    def backdrops(self) -> list[np.ndarray]:
        """Landscapes to put things on, in order of name; none if they are not installed."""
        if self._backdrops is None:
            paths = [] if self._held_out else sorted((self.folder / "backdrops").glob("*.jpg"))
            self._backdrops = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
        return self._backdrops

    def _require_files(self) -> None:
        for style in self.styles:
            if style in CUTOUT_STYLES and not self._cutouts:
                raise ArtError("there are no cut-outs: no photograph shows a thing that is whole and large enough")
            absent = _absent(self.folder, style, self.nouns)
            if absent:
                raise ArtError(
                    f"{len(absent)} sprites of style {style!r} are not in {self.folder} (first: {absent[0]!r}); "
                    f"run `python -m stamp.training art --art {self.folder}` first"
                )

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_mipmaps": {}, "_opacities": {}}


def _find_cutouts(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The files of each noun, by its name."""
    return {noun.name: tuple(sorted(noun.glob("*.png"))) for noun in sorted(folder.glob("*/"))}


def sprite_path(folder: Path, style: str, drawing: str) -> Path:
    """The path of a drawing's sprite; a drawing is an emoji code or the name of a render."""
    return folder / "sprites" / style / f"{drawing}.png"


def _absent(folder: Path, style: str, nouns: Sequence[Noun]) -> list[str]:
    """The drawings that are not yet installed."""
    drawings = [drawing for noun in nouns for drawing in noun.drawings_in(style)]
    return [drawing for drawing in drawings if not sprite_path(folder, style, drawing).is_file()]


def install_art(folder: Path, styles: Sequence[str], nouns: Sequence[Noun], with_panoramas: bool = True) -> None:
    """Downloads, checks and rasterises the artwork of `styles`; skips what is already in `folder`.

    Raises:
        ArtError: an unknown style, a registry's client missing or failing, a wrong checksum, or a drawing that is not
            in its package.
    """
    unknown = sorted(set(styles) - set(STYLE_SOURCES))
    if unknown:
        raise ArtError(f"unknown styles {unknown}; known: {sorted(STYLE_SOURCES)}")
    folder = Path(folder)
    for style in styles:
        absent = _absent(folder, style, nouns)
        if absent:
            rasterise = RASTERISERS[style](lambda package: fetch(STYLE_SOURCES[package], folder))
            for drawing in tqdm(absent, desc=f"sprites {style}", unit="sprite"):
                write_png(fit_sprite(rasterise(drawing)), sprite_path(folder, style, drawing))
    if with_panoramas and not (folder / "panoramas" / "complete").is_file():
        _install_panoramas(fetch(PANORAMA_SOURCE, folder), folder / "panoramas")
        _install_backdrops(fetch(BACKDROP_SOURCE, folder), folder / "backdrops")


def _install_panoramas(package: Path, target: Path) -> None:
    for script in tqdm(sorted((package / "hdri").glob("*.exr.js")), desc="panoramas", unit="image"):
        write_png(Image.fromarray(tone_map(decode_exr_script(script))), target / f"{script.name[:-7]}.png")
    (target / "complete").touch()


def _install_backdrops(package: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for photo in sorted((package / "dist" / "demo" / "photos").glob("*-500.jpg")):
        shutil.copyfile(photo, target / photo.name)

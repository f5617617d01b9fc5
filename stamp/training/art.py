"""Installs the artwork of the training scenes and serves it: sprites by style and noun, and panoramas.

`install_art` is the only function that uses the network (through `npm pack`, which runs no install
script, or from tarballs put in its `downloads` folder by hand). It leaves one trimmed PNG per style and noun and one
PNG per panorama in the folder, so that training reads nothing else.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from stamp.training.nouns import NOUNS, Noun
from stamp.training.rasterise import RASTERISERS, ArtError, decode_exr_script, fit_sprite, tone_map

HELD_OUT_PANORAMAS = ("apartment", "bridge", "hall", "night", "park", "venice")


@dataclass(frozen=True)
class ArtSource:
    """One npm package of artwork, pinned by version and by the registry's sha512 integrity string."""

    package: str
    version: str
    integrity: str
    licence: str
    notice: str

    @property
    def spec(self) -> str:
        return f"{self.package}@{self.version}"

    @property
    def tarball_name(self) -> str:
        """The file name that `npm pack` gives: "@scope/name" becomes "scope-name"."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


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
}

PANORAMA_SOURCE = ArtSource(
    "@pmndrs/assets",
    "1.7.0",
    "sha512-zHmKNS+3Jvu9K3zJBQfYQKT9Pn9IQt8s0q/eJC3CXKpWpyg6IBa+ivN9NgDn+fDT2AVjUh2YRZ//GXUueuAdCg==",
    "CC0-1.0",
    "HDR panoramas of Poly Haven and others, dedicated to the public domain.",
)


class ArtLibrary:
    """Sprites by (style, noun) and background panoramas; loads lazily and travels to worker processes.

    `sprite` gives (h, w, 4) uint8 RGBA, not premultiplied, trimmed to its visible box, longest side
    256 px for installed art. `panoramas` gives (256, 512, 3) uint8 equirectangular images,
    tone-mapped, horizon on the middle row; with `held_out` the six of `HELD_OUT_PANORAMAS`, else the others.
    """

    def __init__(
        self, folder: Path, styles: Sequence[str], nouns: Sequence[Noun] = NOUNS, held_out: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.styles = tuple(styles)
        self.nouns = tuple(nouns)
        self._held_out = held_out
        self._arrays: dict[tuple[str, str], np.ndarray] = {}
        self._panoramas: list[np.ndarray] | None = None
        self._mipmaps: dict[tuple[str, str], tuple[Image.Image, ...]] = {}
        self._coverage: dict[tuple[str, str], float] = {}
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
        library = cls.__new__(cls)
        library.folder = Path()
        library.styles = tuple(dict.fromkeys(style for style, _ in sprites))
        library.nouns = tuple(nouns)
        library._held_out = False
        library._arrays = dict(sprites)
        library._panoramas = list(panoramas)
        library._mipmaps = {}
        library._coverage = {}
        return library

    def sprite(self, style: str, noun: Noun) -> np.ndarray:
        """(h, w, 4) uint8 RGBA of one noun in one style. Raises ArtError when it is not installed."""
        array = self._arrays.get((style, noun.name))
        if array is not None:
            return array
        if self._arrays:
            raise ArtError(f"this library holds no sprite for {(style, noun.name)}")
        return _read_sprite(sprite_path(self.folder, style, noun))

    def mipmap(self, style: str, noun: Noun) -> tuple[Image.Image, ...]:
        """The sprite premultiplied by alpha at full, half, quarter... size, as 4-channel PIL images.

        Mode "RGBa" is PIL's name for premultiplied colour; each level is half as wide as the last, down to 32 px.
        """
        key = (style, noun.name)
        if key not in self._mipmaps:
            level = Image.fromarray(self.sprite(style, noun)).convert("RGBa")
            levels = [level]
            while max(level.size) >= 64:
                level = level.resize((max(1, level.width // 2), max(1, level.height // 2)), Image.Resampling.BOX)
                levels.append(level)
            self._mipmaps[key] = tuple(levels)
        return self._mipmaps[key]

    def coverage(self, style: str, noun: Noun) -> float:
        """The mean opacity of a sprite over its box, 0..1."""
        key = (style, noun.name)
        if key not in self._coverage:
            self._coverage[key] = float(self.sprite(style, noun)[..., 3].mean()) / 255
        return self._coverage[key]

    @property
    def panoramas(self) -> list[np.ndarray]:
        """The panoramas of this library's split, each (256, 512, 3) uint8, in order of name."""
        if self._panoramas is None:
            paths = sorted((self.folder / "panoramas").glob("*.png"))
            chosen = [path for path in paths if (path.stem in HELD_OUT_PANORAMAS) == self._held_out]
            self._panoramas = [np.asarray(Image.open(path).convert("RGB")) for path in chosen]
        return self._panoramas

    def _require_files(self) -> None:
        for style in self.styles:
            absent = [noun.name for noun in self.nouns if not sprite_path(self.folder, style, noun).is_file()]
            if absent:
                raise ArtError(
                    f"{len(absent)} sprites of style {style!r} are not in {self.folder} (first: {absent[0]!r}); "
                    f"call install_art({str(self.folder)!r}, [{style!r}]) first"
                )

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_mipmaps": {}}


def sprite_path(folder: Path, style: str, noun: Noun) -> Path:
    return folder / "sprites" / style / f"{noun.name.replace(' ', '_')}.png"


@lru_cache(maxsize=64)
def _read_sprite(path: Path) -> np.ndarray:
    if not path.is_file():
        raise ArtError(f"no sprite at {path}; call install_art first")
    return np.asarray(Image.open(path).convert("RGBA"))


def install_art(
    folder: Path, styles: Sequence[str], nouns: Sequence[Noun] = NOUNS, with_panoramas: bool = True
) -> None:
    """Downloads, checks and rasterises the artwork of `styles`; does only what is not yet in `folder`.

    Raises:
        ArtError: an unknown style, npm missing or failing, a wrong checksum, or art without a noun's code.
    """
    unknown = sorted(set(styles) - set(STYLE_SOURCES))
    if unknown:
        raise ArtError(f"unknown styles {unknown}; known: {sorted(STYLE_SOURCES)}")
    folder = Path(folder)
    for style in styles:
        absent = [noun for noun in nouns if not sprite_path(folder, style, noun).is_file()]
        if absent:
            rasterise = RASTERISERS[style](_fetch(STYLE_SOURCES[style], folder))
            for noun in tqdm(absent, desc=f"sprites {style}", unit="sprite"):
                write_png(fit_sprite(rasterise(noun.code)), sprite_path(folder, style, noun))
    if with_panoramas and not (folder / "panoramas" / "complete").is_file():
        _install_panoramas(_fetch(PANORAMA_SOURCE, folder), folder / "panoramas")


def _install_panoramas(package: Path, target: Path) -> None:
    for script in tqdm(sorted((package / "hdri").glob("*.exr.js")), desc="panoramas", unit="image"):
        write_png(Image.fromarray(tone_map(decode_exr_script(script))), target / f"{script.name[:-7]}.png")
    (target / "complete").touch()


def _fetch(source: ArtSource, folder: Path) -> Path:
    """The extracted package of a source, downloaded at need. Returns its inner `package` folder."""
    target = folder / "packages" / source.tarball_name.removesuffix(".tgz")
    if not target.is_dir():
        tarball = folder / "downloads" / source.tarball_name
        if not tarball.is_file():
            _download(source, tarball)
        extract_checked(tarball, source.integrity, target)
    return target / "package"


def _download(source: ArtSource, tarball: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ArtError(
            f"npm is not on PATH: install Node.js, or put {source.tarball_name} of npm {source.spec} at {tarball}"
        )
    tarball.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tarball.parent) as scratch:
        destination = str(Path(scratch).resolve())  # npm runs in the scratch folder
        command = [npm, "pack", source.spec, "--ignore-scripts", "--silent", "--pack-destination", destination]
        done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, check=False)
        packed = Path(scratch) / source.tarball_name
        if done.returncode != 0 or not packed.is_file():
            raise ArtError(
                f"`npm pack {source.spec}` failed ({done.returncode}): {done.stderr.strip()[-500:]}; check the "
                f"registry, or put the tarball at {tarball}, or leave this style out"
            )
        os.replace(packed, tarball)


def extract_checked(tarball: Path, integrity: str, target: Path) -> None:
    """Extracts a .tgz into `target`, all or nothing, after comparing its sha512 with an npm integrity string.

    Raises:
        ArtError: another checksum, or a member that would land outside the target.
    """
    digest = hashlib.sha512(tarball.read_bytes()).digest()
    actual = "sha512-" + base64.b64encode(digest).decode()
    if actual != integrity:
        raise ArtError(f"{tarball.name}: expected {integrity}, got {actual}; delete {tarball} and install again")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        inner = Path(scratch) / "extracted"
        try:
            with tarfile.open(tarball) as archive:
                archive.extractall(inner, filter="data")
        except tarfile.TarError as error:
            raise ArtError(f"{tarball.name} was refused: {error}") from error
        os.replace(inner, target)


def write_png(image: Image.Image, path: Path) -> None:
    """Writes a PNG so that the path holds either the whole image or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    image.save(partial, format="PNG")
    os.replace(partial, path)

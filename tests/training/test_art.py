import base64
import hashlib
import io
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stamp.training import art
from stamp.training.art import ArtLibrary, install_art, sprite_path
from stamp.training.nouns import NOUN_BY_NAME, NOUNS
from stamp.training.packages import ArtSource, extract_checked
from stamp.training.rasterise import ArtError, decode_exr_script, fit_sprite, tone_map, write_png

APPLE, CAT = NOUN_BY_NAME["apple"], NOUN_BY_NAME["cat"]


def tarball(path: Path, members: dict[str, bytes]) -> str:
    """Writes a .tgz and returns its npm integrity string."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def webp(colour: tuple[int, int, int, int], box: tuple[int, int, int, int]) -> bytes:
    image = Image.new("RGBA", (64, 64))
    image.paste(colour, box)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def test_nouns_are_unique_and_no_name_holds_another_as_a_word() -> None:
    assert 100 <= len(NOUNS) <= 140
    for field in ("name", "plural", "code"):
        assert len({getattr(noun, field) for noun in NOUNS}) == len(NOUNS), field
    for noun in NOUNS:
        assert re.fullmatch(r"[a-z]+( [a-z]+)?", noun.name)
        assert re.fullmatch(r"[0-9a-f]{4,5}", noun.code)
    words = {noun.name for noun in NOUNS} | {noun.plural for noun in NOUNS}
    for noun in NOUNS:
        if " " in noun.name:
            assert not words & set(noun.name.split())
    assert NOUN_BY_NAME["bee"].flies and not NOUN_BY_NAME["shoe"].flies


def test_extract_checked_refuses_a_wrong_checksum(tmp_path: Path) -> None:
    tarball(tmp_path / "a.tgz", {"package/x": b"1"})
    with pytest.raises(ArtError, match="expected sha512-AAAA, got sha512-"):
        extract_checked(tmp_path / "a.tgz", "sha512-AAAA", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../escaped", "package/../../escaped"])
def test_extract_checked_refuses_path_traversal(tmp_path: Path, name: str) -> None:
    integrity = tarball(tmp_path / "in" / "a.tgz", {"package/x": b"1", name: b"2"})
    with pytest.raises(ArtError, match="refused"):
        extract_checked(tmp_path / "in" / "a.tgz", integrity, tmp_path / "in" / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.tgz"]


def test_install_from_a_tarball_makes_trimmed_sprites_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {
        f"package/assets/{APPLE.code}.webp": webp((200, 10, 10, 255), (8, 4, 40, 60)),
        f"package/assets/{CAT.code}-fe0f.webp": webp((10, 10, 200, 255), (0, 0, 30, 20)),
    }
    source = ArtSource("@fake/pack", "1.0.0", "", "CC0", "")
    integrity = tarball(tmp_path / "downloads" / "fake-pack-1.0.0.tgz", members)
    monkeypatch.setitem(art.STYLE_SOURCES, "fluent3d", ArtSource(source.package, source.version, integrity, "CC0", ""))
    install_art(tmp_path, ["fluent3d"], [APPLE, CAT], with_panoramas=False)
    library = ArtLibrary(tmp_path, ["fluent3d"], [APPLE, CAT])
    assert library.sprite("fluent3d", APPLE).shape == (56, 32, 4)
    assert library.sprite("fluent3d", CAT).shape == (20, 30, 4)
    assert not list(tmp_path.rglob("*.partial"))

    for stale in ("downloads", "packages"):
        for path in sorted((tmp_path / stale).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    monkeypatch.setenv("PATH", "")
    install_art(tmp_path, ["fluent3d"], [APPLE, CAT], with_panoramas=False)  # everything is there: no npm needed


def fake_npm(folder: Path, packed: Path) -> None:
    """An `npm` whose `pack` copies a ready tarball to --pack-destination, seen from its working directory."""
    script = folder / "npm"
    script.write_text(f'#!/bin/sh\nwhile [ "$1" != --pack-destination ]; do shift; done\n/bin/cp "{packed}" "$2"\n')
    script.chmod(0o755)


def test_install_downloads_into_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {f"package/assets/{APPLE.code}.webp": webp((200, 10, 10, 255), (8, 4, 40, 60))}
    integrity = tarball(tmp_path / "fake-pack-1.0.0.tgz", members)
    monkeypatch.setitem(art.STYLE_SOURCES, "fluent3d", ArtSource("@fake/pack", "1.0.0", integrity, "CC0", ""))
    fake_npm(tmp_path, tmp_path / "fake-pack-1.0.0.tgz")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    install_art(Path("art"), ["fluent3d"], [APPLE], with_panoramas=False)
    assert ArtLibrary(tmp_path / "art", ["fluent3d"], [APPLE]).sprite("fluent3d", APPLE).shape == (56, 32, 4)


def test_install_says_what_to_do_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ArtError, match="npm is not on PATH: install Node.js, or put lobehub-fluent-emoji-3d-1.1.0.tgz"):
        install_art(tmp_path, ["fluent3d"], [APPLE], with_panoramas=False)


def test_unknown_style_and_missing_sprites_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ArtError, match=r"unknown styles \['apple'\]"):
        install_art(tmp_path, ["apple"])
    with pytest.raises(ArtError, match=r"2 sprites of style 'noto' .* call install_art"):
        ArtLibrary(tmp_path, ["noto"], [APPLE, CAT])


def test_library_splits_panoramas_and_pickles(tmp_path: Path) -> None:
    for value, name in enumerate(("city", "park", "venice")):
        write_png(Image.new("RGB", (8, 4), (value, 0, 0)), tmp_path / "panoramas" / f"{name}.png")
    write_png(Image.new("RGBA", (5, 9), (1, 2, 3, 255)), sprite_path(tmp_path, "noto", APPLE.code))
    library = ArtLibrary(tmp_path, ["noto"], [APPLE])
    library.mipmap("noto", APPLE)
    copy = pickle.loads(pickle.dumps(library))
    assert np.array_equal(copy.sprite("noto", APPLE), library.sprite("noto", APPLE))
    assert [int(panorama[0, 0, 0]) for panorama in copy.panoramas] == [0]
    held_out = ArtLibrary(tmp_path, ["noto"], [APPLE], held_out=True)
    assert [int(panorama[0, 0, 0]) for panorama in held_out.panoramas] == [1, 2]


def test_mipmaps_are_premultiplied_and_halve() -> None:
    sprite = np.full((200, 100, 4), (200, 100, 50, 128), np.uint8)
    library = ArtLibrary.from_arrays({("drawn", "apple"): sprite}, [APPLE])
    levels = library.mipmap("drawn", APPLE)
    assert [level.size for level in levels] == [(100, 200), (50, 100), (25, 50)]
    assert np.abs(np.asarray(levels[0])[0, 0].astype(int) - (100, 50, 25, 128)).max() <= 1
    assert library.coverage("drawn", APPLE) == pytest.approx(128 / 255)


def test_from_arrays_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"expected \(h, w, 4\) uint8, got \(4, 4, 3\)"):
        ArtLibrary.from_arrays({("drawn", "apple"): np.zeros((4, 4, 3), np.uint8)}, [APPLE])


def test_fit_sprite_trims_and_bounds_the_longest_side() -> None:
    image = Image.new("RGBA", (600, 600))
    image.paste((9, 9, 9, 255), (10, 20, 522, 148))
    assert fit_sprite(image).size == (256, 64)
    with pytest.raises(ArtError, match="transparent"):
        fit_sprite(Image.new("RGBA", (8, 8)))


def test_tone_map_survives_negative_and_infinite_light() -> None:
    linear = np.full((16, 32, 3), 0.2, np.float32)
    linear[0, 0], linear[0, 1] = -50.0, np.inf
    image = tone_map(linear)
    assert image.dtype == np.uint8 and image.shape == (16, 32, 3)
    assert image[0, 1].min() == 255
    assert len(np.unique(image[8:].reshape(-1, 3), axis=0)) == 1


def test_broken_panorama_module_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "x.exr.js"
    script.write_text("export default 'nothing'")
    with pytest.raises(ArtError, match="does not hold an OpenEXR data URL"):
        decode_exr_script(script)

import base64
import hashlib
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stamp.training.__main__ import main
from stamp.training.scenes import art
from stamp.training.scenes.art import ArtLibrary, install_art, sprite_path
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.packages import ArtSource, extract_checked, fetch
from stamp.training.scenes.rasterise import ArtError, decode_exr_script, fit_sprite, tone_map, write_png

STYLES = ("fluent3d", "noto", "emojione")


def drawn_as(name: str, code: str) -> Noun:
    """An everyday noun with one drawing in some styles."""
    return Noun(name, f"{name}s", "toy", drawings=tuple((style, code) for style in STYLES))


APPLE, CAT = drawn_as("apple", "1f34e"), drawn_as("cat", "1f408")


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
        "package/assets/1f34e.webp": webp((200, 10, 10, 255), (8, 4, 40, 60)),
        "package/assets/1f408-fe0f.webp": webp((10, 10, 200, 255), (0, 0, 30, 20)),
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
    members = {"package/assets/1f34e.webp": webp((200, 10, 10, 255), (8, 4, 40, 60))}
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


def emoji_package(names: dict[str, str], colours: dict[str, str], aliases: dict[str, str]) -> dict[str, bytes]:
    """An Iconify package whose icons are squares of one colour."""
    icons = {
        name: {"body": f'<rect x="2" y="2" width="8" height="8" fill="{fill}"/>'} for name, fill in colours.items()
    }
    table = {
        "icons": icons,
        "aliases": {name: {"parent": of} for name, of in aliases.items()},
        "width": 16,
        "height": 16,
    }
    return {"package/chars.json": json.dumps(names).encode(), "package/icons.json": json.dumps(table).encode()}


def put_package(folder: Path, style: str, members: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    integrity = tarball(folder / "downloads" / f"fake-{style}-1.0.0.tgz", members)
    monkeypatch.setitem(art.STYLE_SOURCES, style, ArtSource(f"@fake/{style}", "1.0.0", integrity, "CC0", ""))


def test_icons_without_codes_are_found_by_the_names_noto_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noto = emoji_package(
        {"1f34e": "red-apple", "1f408-fe0f": "cat"}, {"red-apple": "#f00", "cat": "#0f0"}, {"kitty": "cat"}
    )
    put_package(tmp_path, "noto", noto, monkeypatch)
    other = emoji_package({}, {"red-apple": "#00f", "feline": "#ff0"}, {"kitty": "feline"})
    put_package(tmp_path, "emojione", other, monkeypatch)
    install_art(tmp_path, ["noto", "emojione"], [APPLE, CAT], with_panoramas=False)
    library = ArtLibrary(tmp_path, ["noto", "emojione"], [APPLE, CAT])
    middles = {
        style: [library.sprite(style, noun)[90, 90].tolist() for noun in (APPLE, CAT)] for style in library.styles
    }
    assert middles == {
        "noto": [[255, 0, 0, 255], [0, 255, 0, 255]],
        "emojione": [[0, 0, 255, 255], [255, 255, 0, 255]],
    }
    with pytest.raises(ArtError, match="has no drawing of 1f415"):
        install_art(tmp_path, ["emojione"], [drawn_as("dog", "1f415")], with_panoramas=False)


def test_renders_come_out_of_the_furniture_catalogues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "packages" / "fake_1_all" / "usr" / "share" / "sweethome3d" / "furniture"
    root.mkdir(parents=True)
    for catalogue, size in (("scopia", (30, 20)), ("katorlegaz", (10, 40))):
        buffer = io.BytesIO()
        Image.new("RGBA", size, (9, 9, 9, 255)).save(buffer, "PNG")
        with zipfile.ZipFile(root / f"{catalogue}.sh3f", "w") as archive:
            archive.writestr(f"{catalogue}/sofa.png", buffer.getvalue())
    monkeypatch.setitem(art.STYLE_SOURCES, "sweethome3d", ArtSource("fake", "1", "", "CC0", "", "debian"))
    drawings = (("sweethome3d", "scopia/sofa"), ("sweethome3d", "katorlegaz/sofa"))
    sofa = Noun("sofa", "sofas", "furniture", drawings=drawings)
    install_art(tmp_path, ["sweethome3d"], [sofa], with_panoramas=False)
    library = ArtLibrary(tmp_path, ["sweethome3d"], [sofa])
    assert library.drawings("sweethome3d", sofa) == 2
    assert [library.sprite("sweethome3d", sofa, i).shape for i in range(2)] == [(20, 30, 4), (40, 10, 4)]
    with pytest.raises(ArtError, match="no drawing 2 of 'sofa'"):
        library.sprite("sweethome3d", sofa, 2)


def test_a_debian_package_is_fetched_by_apt_get_and_unpacked_by_dpkg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ready.deb").write_bytes(b"archive")
    scripts = {
        "apt-get": f'/bin/cp "{tmp_path}/ready.deb" fake_1_all.deb',
        "dpkg": '/bin/mkdir "$3" && /bin/cp "$2" "$3/x"',
    }
    for name, line in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(b"archive").digest()).decode()
    root = fetch(ArtSource("fake", "1", integrity, "CC0", "", "debian"), tmp_path / "art")
    assert (root / "x").read_bytes() == b"archive"
    with pytest.raises(ArtError, match="expected sha512-AAAA"):
        fetch(ArtSource("fake", "1", "sha512-AAAA", "CC0", "", "debian"), tmp_path / "other")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ArtError, match="apt-get is not on PATH: this style needs a Debian"):
        fetch(ArtSource("fake", "1", integrity, "CC0", "", "debian"), tmp_path / "third")


def test_a_style_need_not_draw_every_noun() -> None:
    sprite = np.full((40, 40, 4), 255, np.uint8)
    library = ArtLibrary.from_arrays({("a", "apple"): sprite, ("a", "cat"): sprite, ("b", "cat"): sprite}, [APPLE, CAT])
    assert [library.drawings(style, noun) for style in "ab" for noun in (APPLE, CAT)] == [1, 1, 0, 1]
    assert library.nouns_in(("b",)) == (CAT,)
    assert library.nouns_in(("a", "b")) == (APPLE, CAT)
    with pytest.raises(ArtError, match="no drawing 0 of 'apple' in style 'b'"):
        library.sprite("b", APPLE)


def test_the_art_command_goes_on_where_a_style_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def install(folder: Path, styles: list[str], *nouns: object, **options: bool) -> None:
        if list(styles) == ["noto-v1"]:
            raise ArtError("no registry")
        done.extend(styles)

    monkeypatch.setattr(art, "install_art", install)
    with pytest.raises(SystemExit, match="skipped style 'noto-v1': no registry"):
        main(["art"])
    assert set(done) == set(art.STYLE_SOURCES) - {"noto-v1"}


def test_unknown_style_and_missing_sprites_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ArtError, match=r"unknown styles \['apple'\]"):
        install_art(tmp_path, ["apple"], [])
    with pytest.raises(ArtError, match=r"2 sprites of style 'noto' .* run `python -m stamp.training art"):
        ArtLibrary(tmp_path, ["noto"], [APPLE, CAT])


def test_library_splits_panoramas_and_pickles(tmp_path: Path) -> None:
    for value, name in enumerate(("city", "park", "venice")):
        write_png(Image.new("RGB", (8, 4), (value, 0, 0)), tmp_path / "panoramas" / f"{name}.png")
    write_png(Image.new("RGBA", (5, 9), (1, 2, 3, 255)), sprite_path(tmp_path, "noto", "1f34e"))
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
    assert image.dtype == np.uint8
    assert image.shape == (16, 32, 3)
    assert image[0, 1].min() == 255
    assert len(np.unique(image[8:].reshape(-1, 3), axis=0)) == 1


def test_broken_panorama_module_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "x.exr.js"
    script.write_text("export default 'nothing'")
    with pytest.raises(ArtError, match="does not hold an OpenEXR data URL"):
        decode_exr_script(script)


def test_a_sheet_overwrites_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Image.new("RGB", (4, 4), (1, 2, 3))
    monkeypatch.setattr(art, "ArtLibrary", lambda *_, **__: None)
    monkeypatch.setattr("stamp.training.scenes.sheets.contact_sheet", lambda _: drawn)
    monkeypatch.setattr("stamp.training.scenes.sheets.vocabulary_sheets", lambda _: [drawn, drawn])
    sheet = ["sheet", "--scenes", "0", "--out", str(tmp_path / "sheet.png")]
    for options, names in (([], ["sheet.png"]), (["--nouns"], ["sheet-01.png", "sheet-02.png"])):
        main([*sheet, *options])
        (tmp_path / names[-1]).write_text("mine")
        with pytest.raises(SystemExit, match=r"sheet(-01)?\.png exists; name another file, or remove this one first\."):
            main([*sheet, *options])
        assert (tmp_path / names[-1]).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"sheet.png", "sheet-01.png", "sheet-02.png"}

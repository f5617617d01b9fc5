"""Strangers' files in a process of their own: what is read there, and what becomes of those that hang or burst it."""

import ast
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from demo.decoding import BROKEN_OFF, DECODER, FORMATS, TOO_LONG, Child, Decoder, receive
from stamp.pictures.images import NO_MEMORY, ImageError, ImageLimits, load_image
from tests.demo.attacks.stranger import eventually
from tests.demo.pictures import endless_jpeg

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def only_ours() -> None:
    """The page's own process, which a browser test may have left behind, would be counted as well."""
    DECODER.close()


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    found = Decoder()
    yield found
    found.close()


def scene(size: int = 64) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (size, size + 7, 3), dtype=np.uint8)
    return Image.fromarray(values)


def saved(folder: Path, picture: Image.Image, format: str, **options: object) -> Path:
    path = folder / f"scene.{format.lower()}"
    picture.save(path, format, **options)
    return path


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children() if "demo.decoding" in child.cmdline()}


@pytest.mark.parametrize("format", [*FORMATS, "MPO"])
def test_what_visitors_have_is_read_as_the_loader_reads_it(decoder: Decoder, tmp_path: Path, format: str) -> None:
    path = saved(tmp_path, scene(), format)
    assert decoder.load(path).tobytes() == load_image(path).tobytes()


@pytest.mark.parametrize("format", ["TIFF", "PPM"])
def test_other_formats_are_for_the_command_line(decoder: Decoder, tmp_path: Path, format: str) -> None:
    path = saved(tmp_path, scene(), format)
    assert load_image(path).size == scene().size
    with pytest.raises(ImageError, match="Use JPEG, PNG, WEBP, GIF, BMP or AVIF"):
        decoder.load(path)


def test_refusals_are_the_loader_s_own_and_the_process_stays(decoder: Decoder, tmp_path: Path) -> None:
    good, cut = saved(tmp_path, scene(), "PNG"), tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:-3000])
    large = saved(tmp_path, scene(100), "BMP")
    decoder.load(good)
    before = children()
    for path, limits in (
        (cut, ImageLimits()),
        (large, ImageLimits(max_pixels=5000)),
        (large, ImageLimits(max_bytes=100)),
        (large, ImageLimits(max_aspect=1.01)),
        (tmp_path / "none.png", ImageLimits()),
    ):
        with pytest.raises(ImageError) as expected:
            load_image(path, limits)
        with pytest.raises(ImageError) as found:
            decoder.load(path, limits)
        assert str(found.value) == str(expected.value)
    assert decoder.load(good).size == scene().size
    assert len(before) == 1
    assert children() == before


def test_a_decoder_that_is_killed_in_the_middle_costs_one_sentence(decoder: Decoder, tmp_path: Path) -> None:
    endless, good = tmp_path / "endless.jpg", saved(tmp_path, scene(), "PNG")
    endless.write_bytes(endless_jpeg())
    said: list[str] = []

    def load() -> None:
        with pytest.raises(ImageError) as caught:
            decoder.load(endless)
        said.append(str(caught.value))

    decoder.load(good)
    (child,) = children()
    before = psutil.Process(child).cpu_times().user
    thread = threading.Thread(target=load)
    thread.start()
    eventually(lambda: psutil.Process(child).cpu_times().user > before + 0.2)  # it is at work
    psutil.Process(child).kill()
    thread.join(30)
    assert said == [BROKEN_OFF]
    assert decoder.load(good).size == scene().size
    assert child not in children()


def test_an_endless_file_is_given_up(tmp_path: Path) -> None:
    endless = tmp_path / "endless.jpg"
    endless.write_bytes(endless_jpeg())
    decoder = Decoder(max_seconds=2)
    with pytest.raises(ImageError, match=TOO_LONG):
        decoder.load(endless)
    assert not children()


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no memory")
def test_a_file_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    bomb = saved(tmp_path, Image.new("RGB", (4000, 4000)), "PNG")
    assert bomb.stat().st_size < 60_000
    decoder = Decoder(max_memory_bytes=40_000_000)
    with pytest.raises(ImageError, match=NO_MEMORY):
        decoder.load(bomb)
    assert decoder.load(saved(tmp_path, scene(), "PNG")).size == scene().size
    decoder.close()


def test_a_decoder_that_died_while_it_waited_is_replaced(decoder: Decoder, tmp_path: Path) -> None:
    good = saved(tmp_path, scene(), "PNG")
    decoder.load(good)
    (child,) = children()
    psutil.Process(child).kill()
    psutil.Process(child).wait(10) if psutil.pid_exists(child) else None
    assert decoder.load(good).size == scene().size


def test_pictures_are_read_side_by_side_and_one_process_stays(decoder: Decoder, tmp_path: Path) -> None:
    good, found = saved(tmp_path, scene(900), "PNG"), []
    threads = [threading.Thread(target=lambda: found.append(decoder.load(good).size)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [scene(900).size] * 3
    assert 1 <= len(children()) <= 3
    decoder.rest()
    assert len(children()) == 1
    decoder.close()
    assert not children()


def test_a_process_ends_when_the_page_is_gone() -> None:
    child = Child(10**9)
    process = psutil.Process(child._process.pid)
    assert child._process.stdin is not None
    child._process.stdin.close()  # as when the page is killed
    assert process.wait(60) == 0


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x01", b"\x10\0\0\0\x10\0\0\0" + bytes(99), b"\xff" * 8 + bytes(99), b"\x02\0\0\0\0\0\0\0" + bytes(99)],
)
def test_what_a_decoder_sends_is_checked(answer: bytes) -> None:
    with pytest.raises(EOFError):
        receive(io.BytesIO(answer), ImageLimits())


def test_a_sentence_of_a_decoder_is_bounded() -> None:
    with pytest.raises(ImageError) as found:
        receive(io.BytesIO(b"\0\0\0\0\xff\xff\xff\x7f" + b"x" * 9000), ImageLimits())
    assert str(found.value) == "x" * 2000


#: Files that open pictures which the page brought or wrote itself: examples, and masks of an answer.
OWN_PICTURES = ("downloads.py", "gallery.py")


def test_nothing_else_in_the_page_opens_a_picture() -> None:
    for path in [*ROOT.glob("demo/**/*.py"), ROOT / "app.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "stamp.pictures.images":
                assert path.name == "decoding.py" or not {"load_image", "read_file"} & {one.name for one in node.names}
            if isinstance(node, ast.Attribute) and node.attr == "open" and isinstance(node.value, ast.Name):
                assert path.name in OWN_PICTURES or node.value.id != "Image", path

"""The image loader, on files in the formats that visitors really have."""

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from stamp.pictures.images import ImageError, ImageLimits, load_image

RED, BLUE = (255, 0, 0), (0, 0, 255)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def scene(width: int = 7, height: int = 5) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_claiming(width: int, height: int) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + header + data + png_chunk(b"IEND", b"")


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.mode == b.mode and a.size == b.size and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
@pytest.mark.parametrize("place", ["before", "behind"])
def test_metadata_too_large_for_pillow_does_not_stop_the_image(name: bytes, place: str) -> None:
    """A text or a colour profile over 1 MB, before the pixels or behind them, in one chunk or a hundred."""
    content = zlib.compress(bytes(1_500_000))
    keyword = {b"zTXt": b"notes\0\0", b"iTXt": b"notes\0\1\0\0\0", b"iCCP": b"profile\0\0"}[name]
    chunk = png_chunk(name, keyword + content)
    data = saved(scene(), "PNG")
    at = data.index(b"IDAT" if place == "before" else b"IEND") - 4
    for times in (1, 100):
        assert same(load_image(data[:at] + times * chunk + data[at:]), scene())


def test_an_orientation_beside_large_metadata_is_kept() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = saved(scene(), "PNG", exif=exif)
    at = data.index(b"IDAT") - 4
    chunk = png_chunk(b"zTXt", b"notes\0\0" + zlib.compress(bytes(1_500_000)))
    assert same(load_image(data[:at] + chunk + data[at:]), scene().transpose(Image.Transpose.ROTATE_270))


def test_an_alpha_channel_of_zeros_counts_as_opaque(tmp_path: Path) -> None:
    """Programs that write 32-bit BMP leave it empty."""
    image = scene()
    image.putalpha(0)
    path = tmp_path / "zero.bmp"
    header = struct.pack("<IiiHHIIiiII", 40, 7, 5, 1, 32, 0, 140, 0, 0, 0, 0)
    rows = np.asarray(image)[::-1, :, [2, 1, 0, 3]].tobytes()
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows)
    for source in (path, image, saved(image, "PNG"), saved(image, "TIFF")):
        assert same(load_image(source), scene())
    image.putpixel((0, 0), (1, 2, 3, 1))
    assert load_image(image).getpixel((6, 4)) == (255, 255, 255)


@pytest.mark.parametrize("bits", [9, 12, 14])
def test_grey_of_few_bits_in_16_is_stretched(bits: int) -> None:
    """12-bit cameras, and depth in millimetres."""
    top = 2**bits - 1
    values = np.array([[0, top // 2, top]], np.uint16)
    for format in ("PNG", "TIFF"):
        loaded = np.asarray(load_image(saved(Image.fromarray(values), format)))
        np.testing.assert_array_equal(loaded[0, :, 0], [0, round(top // 2 * 255 / top), 255])
    clear = load_image(saved(Image.fromarray(values), "PNG", transparency=top))
    assert [clear.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (255, 255, 255), (255, 255, 255)]
    bright = np.array([[0, 1000, 2**14]], np.uint16)
    assert load_image(saved(Image.fromarray(bright), "PNG")).getpixel((2, 0)) == (64, 64, 64)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("kind", ["bytes", "path", "str", "image"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, format: str, kind: str) -> None:
    path = tmp_path / "scene"
    path.write_bytes(saved(scene(), format))
    sources: dict[str, bytes | str | Path | Image.Image] = {
        "bytes": path.read_bytes(),
        "path": path,
        "str": str(path),
        "image": Image.open(path),
    }
    assert same(load_image(sources[kind]), scene())


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "GIF", "MPO"])
def test_lossy_formats_are_read(format: str) -> None:
    loaded = load_image(saved(Image.new("RGB", (40, 30), RED), format))
    assert (loaded.mode, loaded.size) == ("RGB", (40, 30))
    np.testing.assert_allclose(np.asarray(loaded), np.full((30, 40, 3), RED), atol=4)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation: int, format: str) -> None:
    # Corners of the stored image, 8 px blocks: a b over c d. The table says what the viewer should see.
    a, b, c, d = RED, (0, 255, 0), BLUE, (255, 255, 0)
    seen = {1: (a, b, c, d), 2: (b, a, d, c), 3: (d, c, b, a), 4: (c, d, a, b)} | {
        5: (a, c, b, d), 6: (c, a, d, b), 7: (d, b, c, a), 8: (b, d, a, c)
    }  # fmt: skip
    stored = Image.fromarray(np.kron([[a, b], [c, d]], np.ones((1, 1, 1))).astype(np.uint8))
    stored = stored.resize((48, 32), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    loaded = load_image(saved(stored, format, exif=exif.tobytes()))
    width, height = loaded.size
    assert loaded.size == ((48, 32) if orientation < 5 else (32, 48))
    corners = [np.asarray(loaded)[y, x] for y in (4, height - 5) for x in (4, width - 5)]
    np.testing.assert_allclose(corners, seen[orientation], atol=6)
    assert same(load_image(loaded), loaded)


def test_a_damaged_exif_block_does_not_stop_the_image() -> None:
    data = saved(scene(), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    for action in ("ignore", "error"):
        with warnings.catch_warnings():
            warnings.simplefilter(action)
            assert same(load_image(data), scene())


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_alpha_is_flattened_onto_white(mode: str) -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(0, 0, 0, 0), (0, 0, 0, 51), (0, 0, 0, 255)])
    if mode == "PA":
        image = Image.new("L", (3, 1)).convert("P").convert("PA")
        image.putalpha(Image.frombytes("L", (3, 1), bytes([0, 51, 255])))
    loaded = load_image(image.convert(mode) if mode != "PA" else image)
    assert [loaded.getpixel((x, 0)) for x in range(3)] == [(255,) * 3, (204,) * 3, (0,) * 3]


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette_with_transparency(format: str) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putdata([0, 1])
    loaded = load_image(saved(image, format, transparency=0))
    assert [loaded.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), BLUE]


@pytest.mark.parametrize(("mode", "clear", "solid"), [("RGB", RED, BLUE), ("L", 7, 9), ("I;16", 300, 32896)])
def test_one_transparent_colour_of_a_png(mode: str, clear: int | tuple[int, ...], solid: int | tuple[int, ...]) -> None:
    image = Image.new(mode, (2, 1))
    image.putpixel((0, 0), clear)
    image.putpixel((1, 0), solid)
    loaded = load_image(saved(image, "PNG", transparency=clear))
    expected = {"RGB": BLUE, "L": (9, 9, 9), "I;16": (128, 128, 128)}[mode]
    assert [loaded.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), expected]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_divided_by_257(format: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65278, 65535]], np.uint16)
    loaded = load_image(saved(Image.fromarray(values), format))
    expected = [round(int(value) / 257) for value in values[0]]
    assert [loaded.getpixel((x, 0)) for x in range(7)] == [(value,) * 3 for value in expected]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-2.0, 0.0, 8.0], [0, 51, 255]),
        ([np.nan, 1.0, np.inf], [0, 0, 0]),
        ([3.0, 3.0, 3.0], [0, 0, 0]),
    ],
)
def test_float_grey_is_stretched(values: list[float], expected: list[int]) -> None:
    loaded = load_image(saved(Image.fromarray(np.array([values], np.float32)), "TIFF"))
    assert np.asarray(loaded)[0, :, 0].tolist() == expected


def test_32_bit_integers_are_stretched() -> None:
    loaded = load_image(Image.fromarray(np.array([[-1000, 0, 4000]], np.int32)))
    assert np.asarray(loaded)[0, :, 0].tolist() == [0, 51, 255]


def test_cmyk_jpeg() -> None:
    loaded = load_image(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    np.testing.assert_allclose(np.asarray(loaded)[8, 8], RED, atol=4)


def test_one_bit_png() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert np.asarray(load_image(saved(image, "PNG")))[0].tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, BLUE)]
    loaded = load_image(saved(frames[0], format, save_all=True, append_images=frames[1:]))
    np.testing.assert_allclose(np.asarray(loaded)[10, 10], RED, atol=4)


@pytest.mark.parametrize("source_mode", ["RGB", "RGBA", "P", "L"])
def test_the_callers_image_is_never_changed(source_mode: str) -> None:
    given = scene().convert(source_mode)
    before = given.copy()
    loaded = load_image(given)
    loaded.paste(BLUE, (0, 0, *loaded.size))
    assert same(given, before)
    assert ImageOps.exif_transpose(loaded).size == loaded.size


@pytest.mark.parametrize("side", [1, 2])
def test_the_smallest_images(side: int) -> None:
    assert load_image(saved(Image.new("RGB", (side, side), RED), "PNG")).size == (side, side)


@pytest.mark.parametrize(("size", "accepted"), [((1, 199), True), ((1, 200), False), ((5000, 1), False)])
def test_narrow_strips(size: tuple[int, int], accepted: bool) -> None:
    for source in (Image.new("RGB", size), saved(Image.new("RGB", size), "PNG")):
        if accepted:
            assert load_image(source).size == size
        else:
            with pytest.raises(ImageError, match=f"too narrow: {size[0]} x {size[1]}"):
                load_image(source)


@pytest.mark.parametrize("side", [6325, 10_000, 12_000, 100_000, 2_000_000_000])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_too_many_pixels_are_refused_before_decoding(side: int, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]
        with pytest.raises(ImageError, match=r"too large: .* at most 40 million are accepted"):
            load_image(png_claiming(side, side))
    assert before == Image.MAX_IMAGE_PIXELS


def test_pixel_limit_is_inclusive_and_holds_for_pil_images() -> None:
    limits = ImageLimits(max_pixels=35)
    assert load_image(scene(7, 5), limits).size == (7, 5)
    for source in (scene(6, 6), saved(scene(6, 6), "PNG")):
        with pytest.raises(ImageError, match="too large: 6 x 6 pixels"):
            load_image(source, limits)


def test_too_many_bytes_are_refused_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(saved(scene(), "PNG"))
    with path.open("ab") as file:
        file.truncate(20_000_001)
    with pytest.raises(ImageError, match=r"is 20.0 MB; the limit is 20 MB"):
        load_image(path.read_bytes())
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("read"))
    with pytest.raises(ImageError, match=r"is 20.0 MB; the limit is 20 MB"):
        load_image(path)


def test_byte_limit_is_inclusive(tmp_path: Path) -> None:
    data = saved(scene(), "PNG")
    (tmp_path / "scene.png").write_bytes(data)
    assert load_image(tmp_path / "scene.png", ImageLimits(max_bytes=len(data))).size == (7, 5)
    with pytest.raises(ImageError, match="MB"):
        load_image(data, ImageLimits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files(format: str, share: float) -> None:
    data = saved(scene(200, 150), format)
    with warnings.catch_warnings(), pytest.raises(ImageError, match="damaged|not an image"):
        warnings.simplefilter("ignore")
        load_image(data[: int(len(data) * share)])


def test_flipped_bytes_give_an_image_or_an_image_error() -> None:
    random = np.random.default_rng(0)
    for format in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "PPM"):
        data = saved(scene(30, 20), format)
        for _ in range(60):
            damaged = bytearray(data)
            for position in random.integers(0, min(len(data), 200), 3):
                damaged[position] = random.integers(256)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    assert load_image(bytes(damaged)).mode == "RGB"
                except ImageError as error:
                    assert str(error).endswith(".")


@pytest.mark.parametrize("format", ["EPS", "ICO", "PCX", "TGA"])
def test_other_formats_are_refused(format: str) -> None:
    with pytest.raises(ImageError, match="not an image that can be read"):
        load_image(saved(scene(), format))


@pytest.mark.parametrize("data", [b"hello", b"\x00" * 100])
def test_what_is_not_an_image(data: bytes) -> None:
    with pytest.raises(ImageError, match="not an image"):
        load_image(data)


@pytest.mark.parametrize(
    "address",
    ["http://a.b/c.png", " HTTPS://a.b/c.png", "ftp://a/b", "data:image/png;base64,AA", "file:///etc/passwd"],
)
def test_web_addresses(address: str) -> None:
    for source in (address, Path(address)):
        with pytest.raises(ImageError, match="Give a file, not a web address"):
            load_image(source)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no file 'cat.png'") as caught:
        load_image(tmp_path / "cat.png")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)
    for name in ("a" * 5000, "a\0b"):
        with pytest.raises(ImageError, match="cannot be read|no file"):
            load_image(name)
    with pytest.raises(ImageError, match="no file"):
        load_image("/dev/zero")


@pytest.mark.parametrize("source", [None, 3, scene().tobytes, np.zeros((2, 2, 3), np.uint8)])
def test_other_types(source: object) -> None:
    with pytest.raises(ImageError, match="Give an image file"):
        load_image(source)  # type: ignore[arg-type]


def test_empty_sources() -> None:
    with pytest.raises(ImageError, match="file is empty"):
        load_image(b"")
    with pytest.raises(ImageError, match="image is empty: 0 x 5"):
        load_image(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize(
    "limits",
    [{"max_bytes": 0}, {"max_pixels": 0}, {"max_pixels": 100_000_000}, {"max_aspect": 1.0},
     {"max_aspect": float("nan")}],
)  # fmt: skip
def test_limits_that_make_no_sense(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        ImageLimits(**limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%PDF-1.7\n1 0 obj", "a PDF"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "a HEIC photo"),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "a video"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    ],
)
def test_what_people_choose_instead_of_an_image_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ImageError, match=f"This file is {words}. .*, and choose that."):
        load_image(tmp_path / "file")

"""Files that visitors upload: good ones in every mode, and bad ones, each with a part of the sentence it earns."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def write_bad(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name -> (file, words of the refusal)."""
    good = folder / "good.png"
    Image.new("RGB", (40, 30), "red").save(good)
    bad = {
        "corrupt": (good.read_bytes()[:60], "damaged"),
        "no image": (b"hello", "not an image"),
        "empty": (b"", "empty"),
        "huge": (good.read_bytes() + bytes(20_500_000), "20 MB"),
        "bomb": (png_header(30_000, 30_000), "million"),
    }
    files = {name: (folder / f"{name}.png", words) for name, (_, words) in bad.items()}
    for name, (data, _) in bad.items():
        files[name][0].write_bytes(data)
    strip = folder / "strip.png"
    Image.new("RGB", (1, 5000)).save(strip)
    return files | {"strip": (strip, "too narrow")}


def write_good(folder: Path) -> dict[str, tuple[Path, tuple[int, int]]]:
    """Name -> (file, upright size)."""
    rgb = Image.new("RGB", (40, 30), "red")
    deep = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = [rgb, Image.new("RGB", (40, 30), "blue")]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    deep.save(folder / "deep.png")
    rgb.convert("P").save(folder / "palette.png")
    Image.new("RGBA", (40, 30), (255, 0, 0, 0)).save(folder / "alpha.png")
    rgb.save(folder / "turned.jpg", exif=turned)
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    sizes = {"turned.jpg": (30, 40), "pixel.png": (1, 1)}
    names = ("animated.gif", "cmyk.jpg", "deep.png", "palette.png", "alpha.png", "turned.jpg", "pixel.png")
    return {name: (folder / name, sizes.get(name, (40, 30))) for name in names}


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares many pixels and holds almost none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def endless_jpeg(scans: int = 100_000) -> bytes:
    """A progressive JPEG of a few hundred kB whose last scan comes again and again: minutes of work for a decoder."""
    values = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", progressive=True, quality=50)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scans * last + data[-2:]

"""The one image loader: page, API, command line and benchmarks all read images here.

A path, the bytes of a file or a PIL image comes in; a new, upright, opaque RGB image goes out.
Limits are checked before the work they guard: bytes before reading, pixels and shape before decoding.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

# Only decoders that live inside Pillow: no EPS, which runs Ghostscript; no ICO, whose inner image may be
# larger than its header says. MPO (photos of phones) is opened by the JPEG entry.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
#: Pillow's own guard against decompression bombs warns above it, and is left as it is: no limit may be higher.
MOST_PIXELS = 89_478_485
WEB_ADDRESS_STARTS = ("http:", "https:", "ftp:", "ftps:", "data:", "file:")
UPRIGHT_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_NOTES = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
#: Grey of 16 bits that stays below it is of 14 bits at most.
FULL_RANGE_FROM = 2**14
NO_MEMORY = "Reading this image takes too much memory. Make it smaller, or save it again, then try again."
#: What people choose instead of an image: a pattern of bytes near the beginning, and what to do.
OTHER_KINDS = (
    (b"%PDF-", "This file is a PDF. Take a screenshot of the page, or export it as PNG, and choose that."),
    (b"ftypheic|ftypmif1", "This file is a HEIC photo. Save or share it as JPEG, and choose that."),
    (b"ftypmp4|ftypisom", "This file is a video. Take a screenshot of one frame, and choose that."),
    (b"<svg", "This file is an SVG drawing. Export it as PNG, and choose that."),
)
SNIFFED_BYTES = 512

Bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class ImageError(ValueError):
    """The image cannot be used. The message tells a visitor in plain English what is wrong, what to do."""


class _DamagedError(ImageError):
    """A decoder gave up."""


@dataclass(frozen=True)
class ImageLimits:
    """What is accepted: up to `max_bytes` and `max_pixels`; longer / shorter side below `max_aspect`.

    formats: of FORMATS, those that are read.

    Raises: ValueError for a limit that refuses every image, or for more pixels than Pillow opens unwarned.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 40_000_000
    max_aspect: float = 200.0
    formats: tuple[str, ...] = FORMATS

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, got {self.max_bytes}")
        if not 1 <= self.max_pixels <= MOST_PIXELS:
            raise ValueError(f"max_pixels must be 1..{MOST_PIXELS}, got {self.max_pixels}")
        if not self.max_aspect > 1:
            raise ValueError(f"max_aspect must be above 1 (a square has 1), got {self.max_aspect}")


DEFAULT_LIMITS = ImageLimits()


def load_image(source: str | Path | bytes | Image.Image, limits: ImageLimits = DEFAULT_LIMITS) -> Image.Image:
    """Any accepted image as a new upright RGB image, 8 bits per channel, without metadata.

    EXIF orientation is applied, transparency is flattened onto white, an animation gives its first frame. An alpha
    channel that is zero everywhere counts as opaque: programs leave it empty.
    16-bit grey is divided by 257, unless it stays below a quarter of the range, as 12 bits and millimetres do; that,
    and other integer and float grey, is stretched from its own minimum and maximum.
    A PIL image passes the same checks of pixels and shape, and is never changed.

    Raises: ImageError.
    """
    if isinstance(source, Image.Image):
        return _decode(source, limits)
    if isinstance(source, str | Path):
        source = read_file(source, limits)
    if not isinstance(source, bytes):
        raise ImageError(f"Give an image file, its bytes or a PIL image, not {type(source).__name__}.")
    _check_bytes(len(source), limits)
    try:
        with _open(source, limits) as opened:
            return _decode(opened, limits)
    except _DamagedError:
        if (plain := _without_notes(source)) == source:
            raise
    with _open(plain, limits) as opened:
        return _decode(opened, limits)


def read_file(path: str | Path, limits: ImageLimits) -> bytes:
    """The bytes of a file, its size checked first. Messages name the file, never the folders above it."""
    if str(path).strip().lower().startswith(WEB_ADDRESS_STARTS):
        raise ImageError("Give a file, not a web address: save the image first, then choose the saved file.")
    path = Path(path)
    try:
        if path.is_dir():
            raise ImageError(f"{path.name!r} is a folder. Choose one image file inside it.")
        if not path.is_file():
            raise ImageError(f"There is no file {path.name!r}. Check the name and the folder.")
        _check_bytes(path.stat().st_size, limits)
        return path.read_bytes()
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # no permission, a name too long, a null character in the name
        raise ImageError(f"The file {path.name[:80]!r} cannot be read. Choose another file.") from error


def _check_bytes(size_bytes: int, limits: ImageLimits) -> None:
    if size_bytes == 0:
        raise ImageError("The file is empty. Choose another file.")
    if size_bytes > limits.max_bytes:
        raise ImageError(
            f"The file is {size_bytes / 1e6:.1f} MB; the limit is {limits.max_bytes / 1e6:g} MB. "
            "Make the picture smaller or save it as JPEG, then try again."
        )


def _open(data: bytes, limits: ImageLimits) -> Image.Image:
    """The image with its header read and nothing decoded."""
    try:
        return Image.open(BytesIO(data), formats=limits.formats)
    except Bombs as error:
        raise _too_many_pixels("more", limits) from error
    except UnidentifiedImageError as error:
        names = f"{', '.join(limits.formats[:-1])} or {limits.formats[-1]}"
        kind = next((words for pattern, words in OTHER_KINDS if re.search(pattern, data[:SNIFFED_BYTES])), "")
        raise ImageError(kind or f"This file is not an image that can be read. Use {names}.") from error
    except MemoryError as error:
        raise ImageError(NO_MEMORY) from error
    except Exception as error:  # a damaged header makes the decoders raise almost anything
        raise _damaged() from error


def _decode(opened: Image.Image, limits: ImageLimits) -> Image.Image:
    """The opened image, checked and then decoded to upright RGB."""
    _check_size(opened.size, limits)
    try:
        opened.load()  # first: this may change the mode, and a TIFF turns upright and drops its orientation
        upright = _to_rgb(opened)
        operation = UPRIGHT_BY_ORIENTATION.get(_orientation(opened))
        if operation is not None:
            upright = upright.transpose(operation)
    except Bombs as error:
        raise _too_many_pixels("more", limits) from error
    except MemoryError as error:
        raise ImageError(NO_MEMORY) from error
    except Exception as error:  # cut or damaged data makes the decoders raise almost anything
        raise _damaged() from error
    upright.info = {}  # a kept EXIF block would turn the image a second time
    return upright


def _without_notes(data: bytes) -> bytes:
    """A PNG less its texts and colour profile, which Pillow refuses over 1 MB; anything else as it is."""
    if not data.startswith(PNG_SIGNATURE):
        return data
    kept, start = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4])  # length, name, content, checksum
        if data[start + 4 : start + 8] not in PNG_NOTES:
            kept.append(data[start:end])
        start = end
    return b"".join(kept)


def _check_size(size_wh: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size_wh
    if min(size_wh) < 1:
        raise ImageError(f"The image is empty: {width} x {height} pixels. Choose another image.")
    if width * height > limits.max_pixels:
        raise _too_many_pixels(f"{width} x {height}", limits)
    if max(size_wh) >= limits.max_aspect * min(size_wh):
        raise ImageError(
            f"The image is too narrow: {width} x {height} pixels. The longer side must be less than "
            f"{limits.max_aspect:g} times the shorter one. Crop it, then try again."
        )


def _too_many_pixels(found: str, limits: ImageLimits) -> ImageError:
    return ImageError(
        f"The image is too large: {found} pixels, where at most {limits.max_pixels / 1e6:g} million are "
        "accepted. Make it smaller, then try again."
    )


def _damaged() -> _DamagedError:
    return _DamagedError(
        "The image is damaged or incomplete. Open it in an image editor, save it again, then try again."
    )


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; 1 (upright) where there is none or its block is damaged."""
    with suppress(Exception):
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """A new opaque RGB image of the same size, transparency over white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey_to_8_bits(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "La", "RGBa") and layer.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(layer, mask=layer)
    return canvas


def _grey_to_8_bits(image: Image.Image) -> Image.Image:
    """Mode L from I;16*, I or F. What does not use the range of 16 bits is stretched: minimum and NaN to 0."""
    is_short = image.mode.startswith("I;16")
    values = np.asarray(image).astype(np.float32 if is_short else np.float64)
    clear = np.zeros(values.shape, bool)
    if image.mode != "F" and isinstance(image.info.get("transparency"), int):  # a PNG may name one transparent grey
        clear = values == image.info["transparency"]
    finite = values[np.isfinite(values) & ~clear]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if (is_short or (image.mode == "I" and low >= 0)) and FULL_RANGE_FROM <= high <= 65535:
        low, high = 0.0, 65535.0
    values[clear] = high
    values = np.nan_to_num(values, nan=low).clip(low, high) - low
    return Image.fromarray(np.rint(values * (255 / max(high - low, 1e-300))).astype(np.uint8))

"""Finds and reads dataset files; errors list the paths that were tried."""

import json
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.datasets.sample import DatasetError, Sample
from stamp.pictures.images import DEFAULT_LIMITS


def first_existing(what: str, candidates: Sequence[Path]) -> Path:
    """The first path that exists. Raises DatasetError, which lists them all."""
    for path in candidates:
        if path.exists():
            return path
    looked = "\n".join(f"  {path}" for path in candidates)
    raise DatasetError(f"There is no {what}. Looked for:\n{looked}")


def read_json(path: Path, kind: type, encodings: Sequence[str] = ("utf-8",)) -> Any:
    """The content of a JSON file, a `kind` (dict or list), in the first encoding that works. Raises DatasetError."""
    for encoding in encodings:
        try:
            content = json.loads(path.read_bytes().decode(encoding))
        except UnicodeDecodeError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            raise DatasetError(f"{path} cannot be read as JSON ({error}). Download it again.") from error
        if not isinstance(content, kind):
            raise DatasetError(f"{path} must hold a JSON {kind.__name__}, not a {type(content).__name__}.")
        return content
    raise DatasetError(f"{path} is not text in {' or '.join(encodings)}. Download it again.")


def take(entry: Any, name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """`entry[name]`, checked to be a `kind`; True is not a number. Raises DatasetError, which names `where`."""
    value = entry.get(name) if isinstance(entry, dict) else None
    is_wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    if is_wrong or (isinstance(value, int) and _is_huge(value)):
        kinds = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise DatasetError(f"{where}: {name!r} must be {kinds}, found {_short(value)}.")
    return value


def take_name(entry: Any, name: str, where: str) -> str:
    """`take` for a file name or path below a folder. Raises DatasetError, also for impossible characters."""
    value: str = take(entry, name, str, where)
    if not value.isprintable():
        raise DatasetError(f"{where}: the file name {_short(value)} contains characters that no file name can have.")
    return value


def take_size(entry: Any, where: str) -> tuple[int, int]:
    """`height` and `width` of a picture, in pixels. Raises DatasetError if the picture could not be loaded."""
    height, width = (_whole(entry, name, where) for name in ("height", "width"))
    most = DEFAULT_LIMITS.max_pixels
    if min(height, width) < 1 or height * width > most:
        raise DatasetError(
            f"{where}: height and width say {height:,} x {width:,} pixels; a picture has from 1 x 1 to "
            f"{most / 1e6:g} million."
        )
    return height, width


def _whole(entry: Any, name: str, where: str) -> int:
    """`take` for an int, which may be written as 160.0."""
    value = entry.get(name) if isinstance(entry, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    number: int = take(entry, name, int, where)
    return number


def check_images(samples: Iterable[Sample], where: Path) -> None:
    """Raise DatasetError when pictures of the samples are missing in the folder `where`."""
    wanted = list(dict.fromkeys(sample.image for sample in samples))
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing):,} of {len(wanted):,} pictures are missing in {where}, for example {missing[0].name}."
        )


def _is_huge(number: int) -> bool:
    """Whether it needs more than 64 bits; no id or size does."""
    return abs(number) >= 2**63


def _short(value: Any) -> str:
    """The value in at most 60 characters, however deeply nested; in full it might fill the memory."""
    if isinstance(value, int) and _is_huge(value):
        return "a huge int"
    text = reprlib.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

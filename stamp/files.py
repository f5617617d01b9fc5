"""Safe writing: on a full or read-only disk, or if killed, earlier files stay and no file is left half written."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NO_ROOM = "there is no room left on the disk. Make some room, then try again"
NOT_ALLOWED = "writing is not allowed there. Name another folder, or change its permissions"
_REASONS = {
    errno.ENOSPC: NO_ROOM,
    errno.EDQUOT: "the disk quota is used up. Make some room, then try again",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EACCES: NOT_ALLOWED,
    errno.EPERM: NOT_ALLOWED,
    errno.EROFS: NOT_ALLOWED,
    errno.ENOTDIR: "a part of this path is a file. Name another folder",
    errno.EEXIST: "a file of this name is in the way. Name another folder",
}


class StorageError(OSError):
    """Something could not be written. The message names it, and says why and what to do."""


@contextmanager
def writing(what: str | Path) -> Iterator[None]:
    """Around everything that writes: what the disk refuses becomes a StorageError that names `what`."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if (reason := why_not_written(error)) is None:
            raise
        raise StorageError(f"{what} cannot be written: {reason}.") from error


def why_not_written(error: Exception) -> str | None:
    """Why the disk refused, in words; None where an error is no refusal of the disk."""
    if isinstance(error, OSError):
        return None if error.errno is None else _REASONS.get(error.errno, os.strerror(error.errno))
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):  # of torch.save
        return why_not_written(error.__context__)
    message = str(error)  # safetensors raises an error of its own: "... No space left on device (os error 28)"
    return next((reason for number, reason in _REASONS.items() if f"(os error {number})" in message), None)


def check_writable(folder: Path) -> None:
    """Raise StorageError for a folder that cannot be made or written into. Makes nothing."""
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir():
        raise StorageError(f"{folder} cannot be written: {nearest} is a file. Name another folder.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageError(f"{folder} cannot be written: {NOT_ALLOWED}.")


def write_atomically(path: Path, text: str) -> None:
    """Replace a file atomically: readers see either the old or the new content. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path), removed_on_failure(temporary):
        temporary.write_bytes(text.encode("utf-8"))
        os.replace(temporary, path)


@contextmanager
def removed_on_failure(path: Path) -> Iterator[None]:
    """Remove a file or a folder that could not be finished: half of it is of no use, and takes room."""
    try:
        yield
    except BaseException:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        raise


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Append one line of JSON. Raises StorageError."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def drop_torn_line(path: Path) -> None:
    """Remove an incomplete last line, which a kill or a full disk leaves; what is appended begins a line of its own."""
    if path.exists():
        with path.open("r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def move_files(unfinished: Path, folder: Path) -> None:
    """Move every file of a folder into another one, over what is there, and remove the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in unfinished.iterdir():
        os.replace(path, folder / path.name)
    unfinished.rmdir()

"""The private folder for visitors' files: empty at the start, and deleted however the server ends."""

import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from stamp.files import writing

log = logging.getLogger(__name__)

PREFIX = "stamp-page-"
MAX_AGE_S = 3600.0
#: A file counts as at least so much: its name, its folder and the look at them cost something too.
LEAST_BYTES = 200_000
#: An empty folder goes after so long.
EMPTY_S = 60.0


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder that Gradio uses for uploads and downloads, deleted at the end.

    It lies in GRADIO_TEMP_DIR, or else in the system's folder for temporary files; those of servers that were killed
    are deleted first. To be entered before gradio is imported, which reads its name once. Raises StorageError.
    """
    base = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    with writing(f"{base}, where the page keeps what visitors upload (GRADIO_TEMP_DIR),"):
        base.mkdir(parents=True, exist_ok=True)
        remove_left_behind(base)
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base)).resolve()
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("GRADIO_TEMP_DIR")
        if before is not None:
            os.environ["GRADIO_TEMP_DIR"] = before


def is_own(folder: Path) -> bool:
    """Whether a folder was made by `scratch_folder`, so that everything in it may be deleted."""
    return folder.name.startswith(PREFIX)


def remove_left_behind(base: Path) -> None:
    """Delete the folders of servers that no longer run, of this user."""
    for folder in base.glob(f"{PREFIX}*"):
        about, owner = folder.lstat(), folder.name.removeprefix(PREFIX).partition("-")[0]
        is_ours = not hasattr(os, "getuid") or about.st_uid == os.getuid()
        if is_ours and owner.isdecimal() and not folder.is_symlink() and not _runs(int(owner), about.st_mtime):
            log.info("deleting %s, which a server left behind", folder)
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int, since: float) -> bool:
    """Whether a process runs that was there at a time; numbers are given again, in a container at every start."""
    try:
        return bool(psutil.Process(process).create_time() <= since)
    except psutil.Error:
        return False


def sweep(folder: Path, max_bytes: int, *, keep: Collection[Path] = (), max_age_s: float = MAX_AGE_S) -> None:
    """Delete files older than `max_age_s`, and the oldest of the others until all take at most `max_bytes`.

    Folders that have been empty for EMPTY_S go too.

    keep: resolved paths that are never deleted, nor counted.
    """
    folder, found, folders, now = folder.resolve(), [], [], time.time()
    for path in folder.rglob("*"):
        try:
            about = path.lstat()
        except OSError:  # deleted in the meantime
            continue
        if stat.S_ISDIR(about.st_mode):
            folders.append((path, about.st_mtime))
        elif path not in keep:
            found.append((max(about.st_mtime, about.st_ctime), max(about.st_size, LEAST_BYTES), path))
    total = sum(size for _, size, _ in found)
    for changed, size, path in sorted(found):
        if changed >= now - max_age_s and total <= max_bytes:
            break
        path.unlink(missing_ok=True)
        total -= size
    for inner, changed in sorted(folders, reverse=True):
        if changed < now - EMPTY_S:
            with suppress(OSError):  # it is not empty
                inner.rmdir()

"""Writes an answer into a folder: result.json, overlay.png, and a PNG per mask under its name, such as apple.png.

result.json lists what was written beside it. The next answer in the same folder removes those files and no others. A
mask whose name is taken by another file gets another name; a result.json or overlay.png of another program is never
replaced: the folder is refused.
"""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from stamp.files import writing
from stamp.labels import file_stems
from stamp.pictures.masks import save_mask_png
from stamp.pictures.visualization import draw_overlay

if TYPE_CHECKING:
    from PIL import Image

    from stamp.conversation import Segmentation

RECORD, OVERLAY = "result.json", "overlay.png"
#: The names that an answer may give to its files, as `stamp.labels.file_stem` makes them.
_OURS = re.compile(r"[a-z0-9_]+\.png", re.ASCII)
#: Other programs write a result.json too; it is ours only with all of these.
_OUR_KEYS = {"forward_passes", "masks", "finish_reason", "files"}


class OutputError(ValueError):
    """A folder that results cannot be written into. The message says why and what to do."""


def check_output(folder: Path, picture: Path | None = None) -> None:
    """Raise OutputError where `write_result` would fail or touch a file that is not ours. Writes nothing.

    picture: the input, which is never removed, even when an earlier run wrote it.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; name a folder for the results.")
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written; name another folder for the results.")
    if not folder.exists():
        return
    listed = _listed(folder)
    present = [path for path in sorted(folder.iterdir()) if path.name in {RECORD, OVERLAY} | listed]
    for path in present:
        if picture is not None and picture.exists() and path.exists() and path.samefile(picture):
            raise OutputError(f"{path} is the picture to be segmented; name another folder for the results.")
        if path.name not in listed or (path.is_dir() and not path.is_symlink()):
            raise OutputError(
                f"{path.name} in {folder} was not written by an earlier run; move it away, or name another folder."
            )


def write_result(result: "Segmentation", image: "Image.Image", folder: Path, picture: Path | None = None) -> None:
    """Write the files of an answer; those of an earlier one in the folder are removed once the new ones are complete.

    picture: the file that `image` was read from. Raises OutputError as `check_output` does, StorageError.
    """
    check_output(folder, picture)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        earlier = _listed(folder)
        taken = {path.stem.casefold() for path in folder.iterdir() if path.name not in earlier} | {"overlay"}
        names = [f"{stem}.png" for stem in file_stems(result.labels, taken)]
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
            for name, mask in zip(names, result.masks, strict=True):
                save_mask_png(mask, Path(unfinished) / name)
            draw_overlay(image, result.masks).save(Path(unfinished) / OVERLAY)
            record = result.to_record() | {"files": [*names, OVERLAY]}
            (Path(unfinished) / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            for name in earlier:
                (folder / name).unlink(missing_ok=True)
            for name in (*names, OVERLAY, RECORD):  # the record last: it lists the others
                os.replace(Path(unfinished) / name, folder / name)


def _listed(folder: Path) -> set[str]:
    """Files of an earlier run: its result.json and what that lists; nothing where there is none that is ours."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return set()
    if not isinstance(record, dict) or not record.keys() >= _OUR_KEYS or not isinstance(record["files"], list):
        return set()
    files = record["files"]
    return {RECORD, *(name for name in files if isinstance(name, str) and _OURS.fullmatch(name))}

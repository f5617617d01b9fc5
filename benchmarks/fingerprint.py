"""Hashes that identify the files a figure was measured with."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

#: Above this many bytes, a bar shows the progress of reading.
BAR_ABOVE_BYTES = 1_000_000_000
#: The files of a checkpoint folder that decide its answers; the folder also holds reports.
CHECKPOINT_FILES = ("*config.json", "tokenizer.json", "vocab.json", "merges.txt", "*.jinja", "*.safetensors")


def checkpoint_sha256(folder: Path) -> str:
    """One hash of a checkpoint."""
    return sha256_of(sorted(path for pattern in CHECKPOINT_FILES for path in folder.glob(pattern)))


def sha256_of(paths: Sequence[Path]) -> str:
    """One hash over files in this order: their names, relative to the folder they share, and their contents."""
    folder = Path(os.path.commonpath([path.parent for path in paths]))
    sizes = [path.stat().st_size for path in paths]
    digest = hashlib.sha256()
    with tqdm(total=sum(sizes), desc="hashing", unit="B", unit_scale=True, disable=sum(sizes) < BAR_ABOVE_BYTES) as bar:
        for path, size in zip(paths, sizes, strict=True):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
            bar.update(size)
    return digest.hexdigest()

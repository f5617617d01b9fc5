"""Disks that refuse, for tests: the real system calls fail, with a limit that the system puts on the size of files."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

#: What `stamp.files` says of it.
TOO_LARGE = "cannot be written: the file is larger than the system allows"


@contextmanager
def full_after(n_bytes: int) -> Iterator[None]:
    """No file can grow beyond so many bytes; the write that crosses them is done in part, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

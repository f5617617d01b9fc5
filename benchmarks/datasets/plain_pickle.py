"""Reads pickles that hold plain data, and no others.

A pickle is a program, and `pickle.load` runs it: it may import any module and call any function. To do so, it must
name what it imports; plain containers, strings, bytes and numbers need no name. So we refuse every name, and the rest
cannot run code.

A few bytes cannot claim gigabytes either. The usual unpickler, in C, allocates a memo table as long as the largest
index in the file, and trusts that index. Python's own unpickler, used here, keeps the memo in a dict; it takes 6
seconds instead of 2 for the largest official file. Bytearrays are refused, because their length is trusted as well.
"""

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.datasets.sample import DatasetError

#: The largest official file, RefCOCOg's, is about 30 MB.
MAX_BYTES = 500_000_000


class _PlainUnpickler(pickle._Unpickler):
    dispatch = {code: read for code, read in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}  # noqa: RUF012

    def find_class(self, module: str, name: str, /) -> NoReturn:
        raise DatasetError(
            f"it asks for {module}.{name}, which could run code. An official file holds only lists, dicts, strings and "
            "numbers: download it from its authors"
        )


def read_plain_pickle(path: Path) -> Any:
    """The content of a pickle of dicts, lists, tuples, sets, strings, bytes, numbers, booleans and None.

    Strings of Python 2 are read as UTF-8. Raises DatasetError: unreadable, cut, too large, or anything but plain data.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DatasetError(f"it has {size / 1e6:.0f} MB, where at most {MAX_BYTES / 1e6:.0f} MB are read")
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="utf-8", errors="replace").load()
    except DatasetError as error:
        raise DatasetError(f"{path} was refused: {error}.") from error
    except Exception as error:  # a damaged pickle can make the unpickler raise almost anything
        raise DatasetError(f"{path} is not a complete pickle of plain data. Download it again.") from error

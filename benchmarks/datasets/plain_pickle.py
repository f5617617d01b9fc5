"""Reads pickles that hold plain data, and no others.

A pickle is a program, and `pickle.load` runs it: it may import any module and call any function. All it has for that
is to name what it wants to import; plain containers, strings, bytes and numbers need no name. So every name is
refused, and what is left cannot run code.

Nor can a few bytes ask for gigabytes. The usual unpickler, in C, makes a table as long as the largest number under
which a pickle notes an object, and believes whatever number stands there; Python's own, which is read here, notes
objects in a dict. It takes 6 seconds instead of 2 for the largest official file. Bytearrays, whose length is believed
as well, are no plain data.
"""

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.datasets.sample import DatasetError

#: The largest official file, RefCOCOg's, has about 30 MB.
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
    except Exception as error:  # a damaged pickle makes the unpickler raise almost anything
        raise DatasetError(f"{path} is not a complete pickle of plain data. Download it again.") from error

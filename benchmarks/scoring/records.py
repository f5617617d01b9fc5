"""Records: one JSON line per sample and method, written as soon as it is measured.

Scores are computed later, from these lines alone, without a model. A run that was stopped or killed resumes where it
was: an incomplete last line is dropped, all others are kept.
"""

import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

from stamp.errors import is_utf8
from stamp.files import drop_torn_line, writing
from stamp.pictures.masks import Rle

RECORDS_FILE = "records.jsonl"
#: A long file that is kept may be compressed, with `gzip -n -9 records.jsonl`.
COMPRESSED_FILE = "records.jsonl.gz"
#: Fields that records of earlier versions do not have.
LATER_FIELDS = frozenset(("confidence",))
_RECORD_NAME = re.compile(r"records(-\d+-of-\d+)?\.jsonl|records\.jsonl\.gz", re.ASCII)

T = TypeVar("T")
Status = Literal["ok", "invalid", "error"]
Key = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Record:
    """One answer of one method. Unknown is None.

    sample: id within dataset and split. image: file name, which groups the samples of one picture. prompt: as sent.
    method, variant: which method answered, with which options ("" is the default). precision: quantization or dtype.
    status: "ok"; "invalid", the output is unusable; "error", the method or the sample failed, and `error` says how.
    order: position among the measurements of one process. text: the answer; raw_output: everything the model wrote.
    masks: COCO run-length codes at the picture's size. intersection, union, predicted: pixels, for a request for a
    mask. no_target: its right mask is empty. correct: for a question. phases_s: seconds per phase; total_s: the whole
    window, from picture and prompt to masks of the picture's size. confidence: see `Prediction`.

    Raises ValueError for fields of a wrong type and fields that contradict each other.
    """

    dataset: str
    split: str
    sample: str
    image: str
    kind: str
    prompt: str
    method: str
    variant: str
    precision: str
    status: Status
    order: int
    text: str | None = None
    raw_output: str | None = None
    masks: list[Rle] = field(default_factory=list)
    intersection: int | None = None
    union: int | None = None
    predicted: int | None = None
    no_target: bool | None = None
    correct: bool | None = None
    phases_s: dict[str, float] = field(default_factory=dict)
    total_s: float | None = None
    new_tokens: int | None = None
    forward_passes: int | None = None
    confidence: float | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        for name, hint in _HINTS.items():
            if not _fits(value := getattr(self, name), hint):
                raise ValueError(f"{name} must be {getattr(hint, '__name__', hint)}, got {value!r:.60}")
        if (self.status == "error") != (self.error is not None):
            raise ValueError("records with status error, and only those, have a sentence in `error`")
        if (self.no_target is None) == (self.correct is None):
            raise ValueError("a record belongs to a request for a mask (no_target) or to a question (correct)")
        areas = (self.intersection, self.union, self.predicted)
        if len({area is None for area in areas}) > 1 or (self.intersection is not None and self.no_target is None):
            raise ValueError("intersection, union and predicted must come together, and only for a request for a mask")
        if self.union is not None and not 0 <= (self.intersection or 0) <= (self.predicted or 0) <= self.union:
            raise ValueError(f"expected 0 <= intersection <= predicted <= union, got {areas}")

    @property
    def key(self) -> Key:
        """What identifies a record."""
        return self.dataset, self.split, self.sample, self.method, self.variant

    @property
    def label(self) -> str:
        """The method's name on the command line."""
        return f"{self.method}:{self.variant}" if self.variant else self.method

    def to_line(self) -> str:
        """The record as one line of JSON."""
        return json.dumps(asdict(self), allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Raises ValueError: not JSON, or fields that are missing, unknown or of a wrong type."""
        content = json.loads(line)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        names = {one.name for one in fields(cls)}
        missing, unknown = names - set(content) - LATER_FIELDS, set(content) - names
        if missing or unknown:
            raise ValueError(f"fields missing: {sorted(missing)}, unknown: {sorted(unknown)}")
        return cls(**content)


_HINTS = get_type_hints(Record)
_RLE_HINTS = get_type_hints(Rle)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value has an annotated type, and can be put into a table and a page.

    True is not a number; numbers must be finite, and integers have 64 bits; a text has no halves of characters.
    """
    if hint in (bool, NoneType):
        return type(value) is hint
    if hint is str:
        return type(value) is str and is_utf8(value)
    if hint is int:
        return type(value) is int and abs(value) < 2**63
    if hint is float:
        return _fits(value, int) or (type(value) is float and math.isfinite(value))
    if hint is Rle:
        return (
            isinstance(value, dict)
            and set(value) == set(_RLE_HINTS)
            and all(_fits(value[name], part) for name, part in _RLE_HINTS.items())
        )
    origin, inner = get_origin(hint), get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(_fits(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    return value in inner if origin is Literal else any(_fits(value, one) for one in inner)


def encodable(text: str) -> str:
    """The text with halves of characters as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def read_records(paths: Iterable[Path]) -> tuple[list[Record], list[str]]:
    """(records, unreadable lines) of some files. If two records have the same key, the later one counts.

    Raises ValueError for a compressed file that is damaged.
    """
    records: dict[Key, Record] = {}
    problems: list[str] = []
    for path in paths:
        records |= {
            record.key: record for record in read_lines(_read_text(path), path.name, Record.from_line, problems)
        }
    return list(records.values()), problems


def read_lines(text: str, name: str, read: Callable[[str], T], problems: list[str]) -> Iterator[T]:
    """What `read` makes of each line that is not blank. A line that it refuses goes into `problems`, with its number.

    name: of the file, for problems. read: raises ValueError.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = read(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{name}, line {number}: {error}")
        else:
            yield found


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    if path.name == COMPRESSED_FILE:
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path.name} is damaged: {error}") from error
    return data.decode("utf-8", errors="replace")


def record_files(folder: Path) -> list[Path]:
    """The files of a run's records: the compressed one, the merged one, then those of processes not merged yet.

    Merging removes all but the merged one, so a user's file with a similar name is not included.
    """
    found = [path for path in folder.glob("records*.jsonl*") if _RECORD_NAME.fullmatch(path.name) and path.is_file()]
    return sorted(found, key=lambda path: (path.name != COMPRESSED_FILE, path.name != RECORDS_FILE, path.name))


def records_of(folder: Path) -> tuple[list[Record], list[str]]:
    """`read_records` of a run's folder. Raises ValueError if there are none."""
    if not (paths := record_files(folder)):
        raise ValueError(f"{folder} holds no {RECORDS_FILE}; `python -m benchmarks run --out {folder}` writes it.")
    return read_records(paths)


class RecordLog:
    """A file of records that grows line by line. Opening it drops an incomplete last line. Use in a `with`."""

    def __init__(self, path: Path):
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            drop_torn_line(path)
            self._file = path.open("ab", buffering=0)

    def append(self, record: Record) -> None:
        """Write a line at once. Raises StorageError; the lines before it are kept."""
        line = record.to_line().encode("ascii")
        with writing(self._path):
            while line:  # a disk that is almost full takes a part
                line = line[self._file.write(line) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

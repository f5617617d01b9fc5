"""What is written survives a full disk, a folder that is read-only, and a kill."""

import errno
import os
from pathlib import Path

import pytest

from stamp.files import StorageError, check_writable, drop_torn_line, move_files, write_atomically, writing
from tests.disks import TOO_LARGE, full_after


class SafetensorError(Exception):
    """As of safetensors: an error of its own around one of the system."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "there is no room left on the disk. Make some room"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk quota is used up. Make some room"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "writing is not allowed there. Name another folder"),
        (OSError(errno.EROFS, "Read-only file system"), "writing is not allowed there. Name another folder"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), "no room left"),
    ],
)
def test_what_the_disk_refuses_is_a_sentence(error: Exception, words: str) -> None:
    with (
        pytest.raises(StorageError, match=rf"^out/a\.json cannot be written: .*{words}.*\.$") as caught,
        writing("out/a.json"),
    ):
        raise error
    assert "Errno" not in str(caught.value)


@pytest.mark.parametrize("error", [ValueError("a"), RuntimeError("step (os error 9000)"), StorageError("b")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing("x"):
        raise error
    assert caught.value is error


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, "old")
    with full_after(100), pytest.raises(StorageError, match=rf"a\.json {TOO_LARGE}\."):
        write_atomically(path, "new" * 100)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"a.json": "old"}
    write_atomically(path, "new")
    assert path.read_text() == "new"


@pytest.mark.parametrize(("before", "after"), [("a\nb\n", "a\nb\n"), ("a\nb", "a\n"), ("a", ""), ("", "")])
def test_a_torn_line_is_dropped(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "log.jsonl"
    drop_torn_line(path)
    assert not path.exists()
    path.write_text(before)
    drop_torn_line(path)
    assert path.read_text() == after


def test_where_nothing_can_be_written_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"inside cannot be written: .*file is a file\. Name another folder\.$"):
        check_writable(tmp_path / "file" / "inside")
    check_writable(tmp_path / "new" / "deep")
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)  # root may write everywhere
    with pytest.raises(StorageError, match="deep cannot be written: writing is not allowed there"):
        check_writable(tmp_path / "new" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_moved_over_others(tmp_path: Path) -> None:
    for folder, names in (("new", "ab"), ("old", "bc")):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(folder)
    move_files(tmp_path / "new", tmp_path / "old")
    assert {one.name: one.read_text() for one in (tmp_path / "old").iterdir()} == {"a": "new", "b": "new", "c": "old"}
    assert not (tmp_path / "new").exists()

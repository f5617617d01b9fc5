"""Files of visitors lie in one folder of our own, which is bounded, and gone when the server is."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from demo.chat.gallery import EXAMPLES
from demo.loading import ModelSlot
from demo.security.housekeeping import clear_files, files_of_page
from demo.security.limits import Limits
from demo.security.scratch import LEAST_BYTES, PREFIX, is_own, scratch_folder, sweep
from demo.ui import build_demo
from tests.demo.attacks.stranger import API, Stranger, eventually
from tests.demo.attacks.test_files import META, png

ROOT = Path(__file__).parents[3]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_folder_is_new_and_private_and_deleted_at_the_end(temporary: Path) -> None:
    with scratch_folder() as folder:
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        assert folder.parent == temporary
        assert is_own(folder)
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "a" / "b").mkdir(parents=True)
    assert not folder.exists()
    assert os.environ["GRADIO_TEMP_DIR"] == str(temporary)


def test_what_killed_servers_left_is_deleted_and_nothing_else(temporary: Path) -> None:
    dead, alive, foreign = (temporary / name for name in (f"{PREFIX}{dead_process()}-x", f"{PREFIX}1-x", "gradio"))
    ours = temporary / f"{PREFIX}{os.getpid()}-x"  # of an earlier process with our number
    for folder in (dead, alive, foreign, ours):
        folder.mkdir()
        (folder / "picture.png").write_bytes(b"x")
    os.utime(ours, (1.0, 1.0))
    (temporary / f"{PREFIX}{dead_process()}-link").symlink_to(foreign)
    with scratch_folder():
        assert not dead.exists()
        assert not ours.exists()
        assert (alive / "picture.png").exists()
        assert (foreign / "picture.png").exists()


def test_old_files_go_and_then_the_oldest_until_all_fit(tmp_path: Path) -> None:
    now = time.time()
    for name in ("kept", "a", "b", "c"):
        (tmp_path / "x").mkdir(exist_ok=True)
        (tmp_path / "x" / name).write_bytes(bytes(100))
        time.sleep(0.02)  # the time of a file's last change of any kind cannot be set
    sweep(tmp_path, 5 * LEAST_BYTES // 2, keep={(tmp_path / "x" / "kept").resolve()})
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["b", "c", "kept"]
    sweep(tmp_path, 5 * LEAST_BYTES // 2, keep={(tmp_path / "x" / "kept").resolve()}, max_age_s=now - time.time() - 1)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["kept"]


def test_many_tiny_files_are_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request brings 1000 of them, each in a folder of its own."""
    for name in range(10):
        (tmp_path / str(name)).mkdir()
        (tmp_path / str(name) / "x").write_bytes(b"x")
    sweep(tmp_path, 4 * LEAST_BYTES)
    assert len(list(tmp_path.glob("*/x"))) == 4
    monkeypatch.setattr("demo.security.scratch.EMPTY_S", -1.0)
    sweep(tmp_path, 4 * LEAST_BYTES)
    assert len(list(tmp_path.iterdir())) == 4


def test_gradio_does_not_remember_uploads_that_are_gone(temporary: Path) -> None:
    with scratch_folder() as folder:
        demo = build_demo(ModelSlot(lambda: 1 / 0), Path("none"))  # type: ignore[arg-type, return-value]
        (folder / "here.png").write_bytes(png())
        demo.upload_file_set.update({str(folder / "here.png"), str(folder / "gone.png")})
        clear_files(demo)
        assert demo.upload_file_set == {str(folder / "here.png")}


def test_the_pages_own_pictures_stay(temporary: Path) -> None:
    with scratch_folder() as folder:
        demo = build_demo(ModelSlot(lambda: 1 / 0), EXAMPLES, limits=Limits(disk_bytes=1))  # type: ignore[arg-type, return-value]
        pictures = {path for path in folder.rglob("*") if path.is_file()}
        assert pictures
        assert files_of_page(demo) == pictures
        upload = folder / "upload" / "x.png"
        upload.parent.mkdir()
        upload.write_bytes(png())
        clear_files(demo)
        assert {path for path in folder.rglob("*") if path.is_file()} == pictures


def test_a_folder_that_is_not_ours_is_never_swept(temporary: Path) -> None:
    (temporary / "mine.png").write_bytes(png())
    demo = build_demo(ModelSlot(lambda: 1 / 0), Path("none"), limits=Limits(disk_bytes=1))  # type: ignore[arg-type, return-value]
    clear_files(demo)
    assert (temporary / "mine.png").exists()


# -- a whole server, killed ----------------------------------------------------------------------------------------


@pytest.fixture
def server(temporary: Path) -> Iterator[tuple[subprocess.Popen[bytes], Stranger]]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port)]
    environment = os.environ | {"GRADIO_SERVER_NAME": "127.0.0.1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    stranger = Stranger(None, f"http://127.0.0.1:{port}")  # type: ignore[arg-type]
    eventually(lambda: answers(stranger), within_s=60)
    yield process, stranger
    process.kill()
    process.wait()


def answers(stranger: Stranger) -> bool:
    try:
        return stranger.http.get("/config").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_a_server_is_ended_in_the_middle_of_an_answer(
    server: tuple[subprocess.Popen[bytes], Stranger], temporary: Path, end: signal.Signals
) -> None:
    process, stranger = server
    (path,) = stranger.upload(("white.png", png()))
    assert Path(path).is_relative_to(temporary)
    stranger.http.post(f"{API}/call/segment", json={"data": [{"path": path, "meta": META}, "segment the apple"]})
    process.send_signal(end)
    process.wait(30)
    assert [path for path in temporary.rglob("*") if path.is_file()] == []
    assert list(temporary.glob(f"{PREFIX}*")) == []

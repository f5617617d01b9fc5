"""The entry: arguments, environment, and a page that does not wait for torch."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import app
from demo import ui
from demo.loading import ModelSlot
from demo.security.limits import Limits
from tests.test_spaces import free_port, wait_for


def test_arguments_have_defaults_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODEL", "DEVICE", "DTYPE", "QUANTIZATION", "MAX_PIXELS"):
        monkeypatch.delenv(f"STAMP_{name}", raising=False)
    given = app.parse_arguments([])
    assert (given.model, given.device, given.dtype, given.port, given.share) == (None, "auto", "auto", None, False)
    assert (given.quantization, given.max_pixels) == ("auto", None)
    monkeypatch.setenv("STAMP_QUANTIZATION", "int8")
    monkeypatch.setenv("STAMP_MAX_PIXELS", "50176")
    monkeypatch.setenv("STAMP_MODEL", "some/model")
    monkeypatch.setenv("STAMP_DEVICE", "cuda:1")
    monkeypatch.setenv("STAMP_DTYPE", "bfloat16")
    given = app.parse_arguments(["--dtype", "float16"])
    assert (given.model, given.device, given.dtype) == ("some/model", "cuda:1", "float16")
    assert (given.quantization, given.max_pixels) == ("int8", 50176)


@pytest.mark.parametrize(("arguments", "port"), [([], None), (["--port", "7999"], 7999)])
def test_the_port_is_passed_only_when_given(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], port: int | None
) -> None:
    launched: dict[str, Any] = {}
    built: dict[str, Any] = {}

    class Page:
        def launch(self, **options: Any) -> None:
            launched.update(options)

        def block_thread(self) -> None:
            pass

        def close(self, verbose: bool) -> None:
            pass

    monkeypatch.setattr(ui, "build_demo", lambda _, sources, limits: built.update(limits=limits) or Page())
    monkeypatch.setattr(ModelSlot, "start", lambda slot: slot)
    app.main(arguments)
    assert launched.get("server_port") == port
    assert ("server_port" in launched) == (port is not None)
    assert launched["show_error"] is False
    assert built["limits"] == Limits()


def test_the_page_does_not_import_torch() -> None:
    code = (
        "import sys, app, demo.ui; from demo.loading import ModelSlot; from stamp.options import read_model_options;"
        "demo.ui.build_demo(ModelSlot.from_options(read_model_options(app.parse_arguments([]))));"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def run(code: str, tmp_path: Path) -> "subprocess.Popen[str]":
    """A page in a process of its own, on a port of its own."""
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path), "GRADIO_SERVER_NAME": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(app.__file__).parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


#: A page with a thread that does not end; what happens when it starts to load the model, and the port.
BUSY = (
    "import app, os, signal, threading, time; from demo.loading import ModelSlot;"
    "ModelSlot.start = lambda slot: (threading.Thread(target=time.sleep, args=(600,)).start(), {});"
    "app.main(['--port', '{}'])"
)


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with run(f"import app; app.main(['--port', '{port}'])", tmp_path) as page:
            said, _ = page.communicate(timeout=120)
    assert page.returncode == 1
    assert said.splitlines()[-1].startswith(f"error: the page cannot listen on port {port}: it is in use.")
    assert "Traceback" not in said


def test_the_page_ends_though_something_in_it_does_not(tmp_path: Path) -> None:
    """A thread that is busy keeps Python from ending; the files of visitors go all the same."""
    port = free_port()
    with run(BUSY.format("None", port), tmp_path) as page:
        wait_for(f"http://127.0.0.1:{port}/config", page)
        assert len(list(tmp_path.iterdir())) == 1
        page.send_signal(signal.SIGTERM)
        page.send_signal(signal.SIGTERM)  # who is impatient does not stop the clearing away
        said, _ = page.communicate(timeout=120)
    assert page.returncode == 0
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_the_server_ends_too_if_the_end_comes_while_the_page_still_starts(tmp_path: Path) -> None:
    """Gradio closes its server only if it is interrupted while it waits."""
    with run(BUSY.format("os.kill(os.getpid(), signal.SIGTERM)", free_port()), tmp_path) as page:
        said, _ = page.communicate(timeout=120)
    assert page.returncode == 0
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_uploads_that_cannot_be_written_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file" / "inside"))
    with pytest.raises(SystemExit, match=r"^error: .*inside, where the page keeps what visitors upload .* is a file"):
        app.main([])

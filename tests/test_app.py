"""The entry: arguments, environment, and a page that does not wait for torch."""

import subprocess
import sys
from typing import Any

import pytest

import app
from demo import ui
from demo.loading import ModelSlot
from demo.security.limits import Limits


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

    monkeypatch.setattr(ui, "build_demo", lambda _, sources, limits: built.update(limits=limits) or Page())
    monkeypatch.setattr(ModelSlot, "start", lambda slot: slot)
    app.main(arguments)
    assert launched.get("server_port") == port
    assert ("server_port" in launched) == (port is not None)
    assert launched["show_error"] is False
    assert built["limits"] == Limits()


def test_the_page_does_not_import_torch() -> None:
    code = (
        "import sys, app, demo.ui; from demo.loading import ModelSlot;"
        "demo.ui.build_demo(ModelSlot.from_options(app.parse_arguments([])));"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"

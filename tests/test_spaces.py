"""The page as a Space runs it: front matter, `app.py` as a program, ZeroGPU's decorator, sizes of files."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

import app
from demo.board.sources import read_sources
from demo.loading import ModelSlot
from stamp.checkpoints.load_options import LoadOptions
from stamp.options import read_model_options

ROOT = Path(__file__).parent.parent
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}

#: As Hugging Face's package on ZeroGPU, less the GPU: what crosses the border is pickled, both ways.
STUB = """
import functools, inspect, os, pickle, sys

def visitor():
    from gradio.context import LocalContext
    return LocalContext.request.get().client.host  # whose share of the GPU is used

def GPU(*plain, duration):
    assert not plain and 0 < duration <= 120, "a decorator with a duration"
    assert "torch" not in sys.modules, "imported after torch"
    def decorate(function):
        assert "<locals>" not in function.__qualname__, "found by its name"
        across = lambda value: pickle.loads(pickle.dumps(value))
        note = lambda: open(os.environ["STUB_LOG"], "a").write(function.__name__ + "@" + visitor() + "\\n")
        @functools.wraps(function)
        def whole(*args, **kwargs):
            note()
            return across(function(*across(args), **across(kwargs)))
        @functools.wraps(function)
        def pieces(*args, **kwargs):
            note()
            for value in function(*across(args), **across(kwargs)):
                yield across(value)
        return pieces if inspect.isgeneratorfunction(function) else whole
    return decorate
"""


def front_matter() -> dict[str, Any]:
    text = (ROOT / "README.md").read_text()
    found = re.match(r"---\n(.*?)\n---\n", text, flags=re.DOTALL)
    assert found is not None
    return dict(yaml.safe_load(found[1]))


def test_the_front_matter_is_what_a_space_needs() -> None:
    settings = front_matter()
    required = {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "license"}
    assert required <= set(settings)
    assert settings["sdk"] == "gradio"
    assert f"gradio=={settings['sdk_version']} " in (ROOT / "requirements.txt").read_text()
    assert settings["python_version"] in ("3.11", "3.12")
    assert isinstance(settings["python_version"], str)
    assert (ROOT / settings["app_file"]).is_file()
    assert {settings["colorFrom"], settings["colorTo"]} <= COLOURS
    assert len(settings["short_description"]) <= 60


def test_no_file_is_larger_than_a_space_takes_without_lfs() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    large = [name for name in listed if name and (ROOT / name).is_file() and (ROOT / name).stat().st_size > 10_000_000]
    assert large == []


def test_the_variables_that_are_documented_are_those_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Watched(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.append(name)
            return super().get(name, default)

    monkeypatch.setattr(os, "environ", Watched(os.environ))
    given = app.parse_arguments([])
    read_sources(given)
    documented = set(re.findall(r"`(STAMP_\w+)`", (ROOT / "docs" / "deploy.md").read_text()))
    assert {name for name in asked if name.startswith("STAMP_")} == documented


def test_one_variable_makes_it_the_published_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STAMP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("STAMP_MODEL", "2b")
    given = app.parse_arguments([])
    assert (given.model, given.quantization, given.device) == ("2b", "auto", "auto")
    assert not ModelSlot.from_options(read_model_options(given)).is_embedded


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("JiaZL/STAMP-2B-uni", "JiaZL/STAMP-2B-uni"),
        ("2b", "2b"),
        ("~/secret/stamp-2b", "stamp-2b"),  # is there
        ("~/secret/stamp-3b", "stamp-3b"),  # mistyped
        ("/nowhere/stamp-2b/", "stamp-2b"),
    ],
)
def test_visitors_see_the_name_of_the_model_and_not_where_it_lies(
    model: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secret" / "stamp-2b").mkdir(parents=True)
    assert ModelSlot.from_options(LoadOptions(model)).name == shown


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_app_py_runs_as_on_a_space_with_zero_gpu(tmp_path: Path) -> None:
    """The nano answers at the endpoint and on the page; what it computes passes through the decorator, pickled."""
    (tmp_path / "spaces.py").write_text(STUB)
    port, log = free_port(), tmp_path / "log"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "STUB_LOG": str(log),
        "SPACES_ZERO_GPU": "true",
        "SPACE_ID": "some/space",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_TEMP_DIR": str(tmp_path),
    }
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as page:
        try:
            health = wait_for(f"{url}/health", page)
            assert health["status"] == "ready"  # loaded before the page was there
            ask_like_a_visitor(url)
        finally:
            page.send_signal(signal.SIGTERM)
            said, _ = page.communicate(timeout=60)
    assert sorted(log.read_text().split()) == ["_segment@127.0.0.1", "_stream@127.0.0.1", "_stream@127.0.0.1"], said
    lines = [json.loads(line) for line in said.splitlines() if line.startswith('{"at"')]
    assert [(line["source"], line["status"]) for line in lines] == [
        ("segment", "end"),
        ("page", "end"),
        ("page", "end"),
    ]
    assert "Traceback" not in said


def wait_for(url: str, page: "subprocess.Popen[str]") -> dict[str, Any]:
    """What a page says once it is up."""
    for _ in range(600):
        assert page.poll() is None, page.communicate()[0]
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return dict(json.load(answer))
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the page did not come up")


def ask_like_a_visitor(url: str) -> None:
    """One call of the endpoint, then a picture and two questions on the page."""
    import httpx

    from tests.demo.attacks.stranger import Stranger
    from tests.demo.attacks.test_files import META

    stranger = Stranger(None, url)  # type: ignore[arg-type]
    stranger.http.timeout = httpx.Timeout(300)
    (path,) = stranger.upload(("lemon.webp", (ROOT / "assets/examples/lemon.webp").read_bytes()))
    picture = {"path": path, "meta": META}
    assert stranger.segment(picture, "segment the lemon").startswith("event: complete")
    config = stranger.http.get("/config").json()
    stranger.demo = Remote(config)  # type: ignore[assignment]
    assert stranger.call(stranger.index("picture"), [picture], "visitor")["success"]
    for question in ("segment the lemon", "what is in the picture?"):
        assert stranger.call(stranger.index("prompt", "submit"), [question, "none"], "visitor")["success"]


class Remote:
    """The functions of a page that runs elsewhere, as its configuration lists them, for `Stranger`."""

    def __init__(self, config: dict[str, Any]):
        from types import SimpleNamespace

        self.fns = {
            one["id"]: SimpleNamespace(targets=[tuple(target) for target in one["targets"]], inputs=one["inputs"])
            for one in config["dependencies"]
        }
        self.blocks = {one["id"]: SimpleNamespace(elem_id=one["props"].get("elem_id")) for one in config["components"]}

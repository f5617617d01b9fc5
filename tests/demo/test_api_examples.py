"""The examples of docs/api.md and of the README are run as they stand, against a page on this machine."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from demo.api import ONE_CALL
from tests.demo.attacks.stranger import Stranger, strangers_page
from tests.demo.fake import half

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "api.md").read_text()
ADDRESS = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def page() -> Iterator[Stranger]:
    with strangers_page() as stranger:
        yield stranger


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds `picture.png`, and is where the examples run."""
    Image.new("RGB", (40, 30), "white").save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(kind: str, word: str, page: Stranger) -> str:
    """The code block of a kind with a word in it, for the page under test."""
    (found,) = (block for block in re.findall(rf"```{kind}\n(.*?)```", TEXT, flags=re.DOTALL) if word in block)
    assert ADDRESS in found
    return str(found).replace(ADDRESS, str(page.http.base_url).rstrip("/"))


def check_masks(result: dict[str, Any]) -> None:
    """Left half and right half of a picture of 40 x 30, in every form."""
    assert [(mask["label"], mask["area_px"]) for mask in result["masks"]] == [("left half", 600), ("right half", 600)]
    assert [mask["bbox_xywh"] for mask in result["masks"]] == [[0, 0, 20, 30], [20, 0, 20, 30]]
    for part, mask in enumerate(result["masks"]):
        assert (coco.decode(mask["rle"]).astype(bool) == half((30, 40), part)).all()
        drawn = coco.decode(coco.frPyObjects(mask["polygons"], 30, 40)[0])
        assert (drawn.astype(bool) == half((30, 40), part)).all()


def test_the_python_example(page: Stranger, folder: Path) -> None:
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(example("python", "client.predict", page), names)
    check_masks(names["first"])
    check_masks(names["second"])
    assert np.asarray(Image.open(names["overlay"])).shape[:2] == (30, 40)
    assert [one["content"] for one in names["second"]["conversation"]] == [
        "segment the apple",
        names["first"]["response"],
        "what else is there?",
        names["second"]["response"],
    ]
    assert printed.getvalue().splitlines()[0].startswith("left half None [0, 0, 20, 30] [[0, 0, ")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_example(page: Stranger, folder: Path) -> None:
    script = example("bash", "curl -sf -F", page)
    said = subprocess.run(["bash", "-euc", script], cwd=folder, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
    event, data = said.stdout.strip().splitlines()[-2:]
    assert event == "event: complete"
    overlay, result = json.loads(data.removeprefix("data: "))
    check_masks(result)
    assert overlay["path"].endswith(".png")


def test_the_mcp_example(page: Stranger, folder: Path) -> None:
    """Started as an agent starts it, over pipes."""
    mcp = pytest.importorskip("mcp", exc_type=ImportError)
    stdio = pytest.importorskip("mcp.client.stdio")
    command = example("bash", "demo.mcp", page).splitlines()[-1].split()
    assert command[:3] == ["python", "-m", "demo.mcp"]

    async def talk() -> None:
        async with stdio.stdio_client(started(mcp, command[1:])) as pipes, mcp.ClientSession(*pipes) as session:
            await session.initialize()
            (tool,) = (await session.list_tools()).tools
            assert (tool.name, tool.inputSchema["required"]) == ("segment", ["image", "prompt"])
            asked = {"image": str(folder / "picture.png"), "prompt": "halves", "overlay": str(folder / "drawn.png")}
            answer = await session.call_tool("segment", asked)
            assert not answer.isError
            result = json.loads(answer.content[0].text)
            check_masks(result)
            assert Image.open(folder / "drawn.png").size == (40, 30)
            again = {"image": asked["image"], "prompt": "and now?", "conversation": result["conversation"]}
            second = json.loads((await session.call_tool("segment", again)).content[0].text)
            assert [one["role"] for one in second["conversation"]] == ["user", "assistant"] * 2
            for wrong, words in (
                (asked, "exists already"),
                (asked | {"overlay": str(folder / "none" / "drawn.png")}, "no folder on this machine"),
                ({"image": "http://127.0.0.1/cat.png", "prompt": "x"}, "Web addresses are not fetched"),
                ({"image": asked["image"], "prompt": " "}, "Type a request first"),
                ({"image": asked["image"]}, "prompt"),
            ):
                refused = await session.call_tool("segment", wrong)
                assert refused.isError
                assert words in refused.content[0].text

    anyio.run(talk)


def test_the_mcp_server_still_listens_while_an_answer_is_made(page: Stranger, folder: Path) -> None:
    """The page answers one call after the other, and here an earlier one never ends."""
    mcp = pytest.importorskip("mcp", exc_type=ImportError)
    stdio = pytest.importorskip("mcp.client.stdio")
    command = example("bash", "demo.mcp", page).splitlines()[-1].split()
    asked = {"image": str(folder / "picture.png"), "prompt": "halves"}

    async def talk() -> None:
        async with stdio.stdio_client(started(mcp, command[1:])) as pipes, mcp.ClientSession(*pipes) as session:
            await session.initialize()
            with ONE_CALL, anyio.fail_after(60):
                async with anyio.create_task_group() as calls:
                    calls.start_soon(session.call_tool, "segment", asked)
                    await anyio.sleep(0)  # the call is on its way first
                    await session.send_ping()
                    calls.cancel_scope.cancel()

    anyio.run(talk)


def started(mcp: Any, arguments: list[str]) -> Any:
    """How an agent starts the server."""
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), **os.environ}
    return mcp.StdioServerParameters(command=sys.executable, args=arguments, env=environment, cwd=ROOT)


def test_the_configuration_of_an_agent_is_json() -> None:
    (found,) = re.findall(r"```json\n(.*?)```", TEXT, flags=re.DOTALL)
    assert json.loads(found)["mcpServers"]["stamp"]["args"] == ["-m", "demo.mcp"]


def test_every_field_is_explained() -> None:
    """What `to_record` gives, and what a call adds."""
    from tests.demo.fake import segmentation

    record = segmentation(["a", 0], [half((4, 6), 0)], (4, 6)).to_record()
    explained = set(re.findall(r"`(\w+)`", TEXT))
    assert {*record, *record["masks"][0], "conversation"} <= explained

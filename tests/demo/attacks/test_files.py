"""Pictures come from Gradio's upload folder only, however a request names them; one sentence for everything else."""

import html
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import psutil
import pytest
from gradio.utils import get_upload_folder
from PIL import Image

from demo.chat.picture import NOT_UPLOADED, FileImage, only_uploads
from demo.decoding import BROKEN_OFF
from tests.demo.attacks.stranger import Stranger, eventually, strangers_page
from tests.demo.pictures import endless_jpeg

META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    with strangers_page() as found:
        yield found


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that lies on the server and was never uploaded."""
    path = tmp_path_factory.mktemp("private") / "server.png"
    Image.new("RGB", (40, 30), "red").save(path)
    return path


def png(colour: str = "white") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def payloads(secret: Path) -> list[Any]:
    """Ways to name a file that was not uploaded: there, not there, a folder, no picture; with and without `meta`."""
    link = Path(get_upload_folder()) / "link.png"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    uploads = get_upload_folder()
    up = "/".join([".."] * 40)
    paths = [secret, secret.with_name("none.png"), secret.parent, "/etc/passwd", "/dev/null", link, uploads]
    paths += [f"{uploads}/{up}{secret}", f"{uploads}/none.png", "http://127.0.0.1:1/x.png", "a" * 5000, "x\0y", ""]
    named = [{"path": str(path)} for path in paths]
    return [
        *named,
        *({**one, "meta": META} for one in named),
        *({"url": one["path"]} for one in named),
        {"url": f"/gradio_api/file={secret}", "meta": META},
        {"path": None, "url": str(secret), "meta": META},
        {"path": {"path": str(secret)}},
        {"path": [str(secret)], "meta": 5},
        {"path": str(secret), "meta": "gradio.FileData", "is_stream": True},
        str(secret),
        [{"path": str(secret)}],
        7,
    ]


def test_segment_takes_uploads_only_and_says_one_sentence(stranger: Stranger, secret: Path) -> None:
    for payload in payloads(secret):
        said = stranger.segment(payload)
        assert said.startswith("event: error"), payload
        assert NOT_UPLOADED in said, payload


@pytest.mark.parametrize(("name", "event", "more"), [("picture", "input", []), ("race-go", "click", ["hi", []])])
def test_every_picture_of_the_page_is_an_upload(
    stranger: Stranger, secret: Path, name: str, event: str, more: list[Any]
) -> None:
    index = stranger.index(name, event)
    for number, payload in enumerate(payloads(secret)):
        ended = stranger.call(index, [payload, *more], f"{name}-{number}")
        assert not ended["success"], payload
        assert ended["output"]["error"] == NOT_UPLOADED, payload


def test_no_input_of_the_page_is_a_picture_of_another_kind(stranger: Stranger) -> None:
    """Gradio's own image, file, gallery ... inputs read paths as well."""
    inputs = {block for function in stranger.demo.fns.values() for block in function.inputs}
    readers = [block for block in inputs if isinstance(block, gr.Image | gr.File | gr.Gallery | gr.Video | gr.Audio)]
    assert {type(block) for block in readers} == {FileImage}


def test_a_file_hidden_in_another_input_is_refused_too(secret: Path) -> None:
    upload = Path(get_upload_folder()) / "here.png"
    upload.parent.mkdir(parents=True, exist_ok=True)
    upload.write_bytes(png())
    value = {"a": [1, {"path": str(upload), "url": str(secret), "size": 3}], "b": "x"}
    assert only_uploads(value) == {"a": [1, {"path": str(upload.resolve()), "meta": META}], "b": "x"}
    with pytest.raises(gr.Error, match="no longer on the server"):
        only_uploads({"a": [{"x": {"path": str(secret)}}]})


def test_uploads_still_work_on_page_and_endpoint(stranger: Stranger) -> None:
    (path,) = stranger.upload(("white.png", png()))
    assert stranger.segment({"path": path, "meta": META}).startswith("event: complete")
    ended = stranger.call(stranger.index("picture"), [{"path": path, "meta": META}], "visitor")
    assert ended["success"]


def test_a_refused_upload_tells_only_of_itself(stranger: Stranger) -> None:
    (path,) = stranger.upload(("text.png", b"hello"))
    assert "not an image" in stranger.segment({"path": path, "meta": META})


def test_a_decoder_killed_in_the_middle_of_a_picture_costs_a_sentence(stranger: Stranger) -> None:
    """On the page and at the endpoint; the next picture is read."""
    endless, good = stranger.upload(("endless.jpg", endless_jpeg()), ("white.png", png()))
    index = stranger.index("picture")
    with ThreadPoolExecutor() as pool:
        on_page = pool.submit(stranger.call, index, [{"path": endless, "meta": META}], "hurt")
        kill_the_busy_decoder()
        assert BROKEN_OFF in html.unescape(json.dumps(on_page.result(60)["output"]["data"]))
        at_endpoint = pool.submit(stranger.segment, {"path": endless, "meta": META})
        kill_the_busy_decoder()
        assert BROKEN_OFF in at_endpoint.result(60)
    assert stranger.segment({"path": good, "meta": META}).startswith("event: complete")
    assert stranger.call(index, [{"path": good, "meta": META}], "hurt")["success"]


def kill_the_busy_decoder() -> None:
    """Kill whichever decoder has been at work for a while."""
    began: dict[int, float] = {}

    def is_killed() -> bool:
        for child in psutil.Process().children():
            if "demo.decoding" in child.cmdline():
                used = child.cpu_times().user
                # What it takes to start is over once it waits; a decoder that hangs never does.
                if used > began.setdefault(child.pid, used) + 1:
                    child.kill()
                    return True
        return False

    eventually(is_killed, 60)


def test_formats_that_visitors_do_not_have_are_refused(stranger: Stranger) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30)).save(buffer, "TIFF")
    (path,) = stranger.upload(("scan.tiff", buffer.getvalue()))
    assert "Use JPEG, PNG, WEBP, GIF, BMP or AVIF" in stranger.segment({"path": path, "meta": META})

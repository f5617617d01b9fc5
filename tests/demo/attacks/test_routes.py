"""What the server answers at all, how large a request may be, and what every answer carries."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder

from demo.security.calls import BY_NAME, BY_PLACE, NOT_JSON, SEE
from demo.security.gate import API, MAX_EVENT_BYTES, MAX_UPLOAD_BYTES, NOT_FOUND, TOO_LARGE, TOO_LONG
from demo.security.page import TOO_FEW
from demo.ui import SAFETY, launch_options
from tests.demo.attacks.stranger import Stranger, strangers_page
from tests.demo.attacks.test_files import png

HUB = "https://huggingface.co"


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    with strangers_page() as found:
        yield found


def status(stranger: Stranger, method: str, path: str) -> int:
    return stranger.http.request(method, path, json={} if method == "POST" else None).status_code


def test_the_routes_of_the_run_history_are_not_there(stranger: Stranger) -> None:
    """CVE-2026-134825, in Gradio 6.27 to 6.31: here only `run_history=False` and the gate close it."""
    for path in ("runs", "runs/", "run-history/buckets", "run-history/records?bucket=a/b",
                 "run-history/records/segment/0/assets/0?bucket=a/b"):  # fmt: skip
        assert status(stranger, "GET", f"{API}/{path}") == 404
    assert status(stranger, "POST", f"{API}/run-history/connect") == 404
    with without_gate(run_history=False) as plain:
        assert plain.get(f"{API}/runs").status_code == 404
        assert plain.get(f"{API}/run-history/buckets").status_code == 404
    with without_gate(run_history=True) as plain:  # so that the assertions above can fail
        assert plain.get(f"{API}/runs").status_code == 200


def without_gate(**options: Any) -> "PlainPage":
    return PlainPage(options)


class PlainPage:
    """Gradio itself with some of our options."""

    def __init__(self, options: dict[str, Any]):
        self.options = {name: value for name, value in SAFETY.items() if name != "app_kwargs"} | options

    def __enter__(self) -> httpx.Client:
        with gr.Blocks(analytics_enabled=False) as self.demo:
            gr.Textbox()
        _, url, _ = self.demo.launch(prevent_thread_lock=True, quiet=True, **self.options)
        self.client = httpx.Client(base_url=url)
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.demo.close(verbose=False)


def test_monitoring_is_off_with_and_without_the_gate(stranger: Stranger) -> None:
    for path in ("/monitoring", "/monitoring/summary", "/monitoring/x"):
        assert status(stranger, "GET", path) == 404
    with without_gate() as plain:
        assert plain.get("/monitoring/summary").status_code == 403
    with without_gate(enable_monitoring=None) as plain:
        assert plain.get("/monitoring/summary").status_code == 200


def test_only_what_the_page_needs_is_there(stranger: Stranger) -> None:
    """Every route of Gradio's is asked for; those that answer are listed."""
    there = set()
    for template, methods in stranger.demo.server_app.openapi()["paths"].items():
        path = re.sub(r"{([^}]*)}", lambda found: FILLED.get(found[1], "x"), template)
        for method in (name.upper() for name in methods):
            if (method, template) not in OPEN and status(stranger, method, path) != 404:
                there.add((method, template))
    assert there == set()


FILLED = {"path_or_url": "/x", "api_name": "segment"}
OPEN = {
    *((method, path) for method in ("GET", "HEAD") for path in ("/", "/health", "/preview.jpg")),
    *(("GET", path) for path in ("/config", "/config/", "/theme.css", "/manifest.json", "/favicon.ico", "/robots.txt")),
    *(("GET", path) for path in ("/assets/{path}", "/static/{path}")),
    *(("GET", f"{API}/{path}") for path in ("info", "info/", "openapi.json", "theme.css", "startup-events")),
    *(("GET", f"{API}/{path}") for path in ("app_id", "app_id/", "upload_progress", "queue/data")),
    *(("GET", f"{API}/{path}") for path in ("heartbeat/{session_hash}", "call/{api_name}/{event_id}")),
    ("GET", f"{API}/call/v2/{{api_name}}/{{event_id}}"),
    *(("POST", f"{API}/{path}") for path in ("upload", "queue/join", "cancel", "reset", "reset/")),
    *(("POST", f"{API}/call/{path}") for path in ("{api_name}", "{api_name}/", "v2/{api_name}", "v2/{api_name}/")),
}


def test_files_are_served_from_the_upload_folder_alone(stranger: Stranger, tmp_path: Path) -> None:
    (path,) = stranger.upload(("white.png", png()))
    assert stranger.http.get(f"{API}/file={path}").content == png()
    (tmp_path / "server.png").write_bytes(png())
    uploads = get_upload_folder()
    for name in (f"{tmp_path}/server.png", "/etc/passwd", "app.py", f"{uploads}/../../etc/passwd", "x%00y",
                 "https://huggingface.co/robots.txt", "http://127.0.0.1:1/x", "http:%2f%2f127.0.0.1/x",
                 "HTTPS://example.org/x", "data:text/plain,x", "file:///etc/passwd", "//example.org/x"):  # fmt: skip
        answer = stranger.http.get(f"{API}/file={name}")
        assert (answer.status_code, answer.json()) == (404, {"detail": NOT_FOUND}), name


def test_an_address_is_never_fetched(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio's own route would fetch a public address; here nothing even looks at it."""
    asked: list[object] = []

    async def look_up(*given: object) -> str:
        asked.append(given)
        raise AssertionError

    monkeypatch.setattr("gradio.route_utils.safehttpx.async_validate_url", look_up)
    for path in ("file=https://example.org/x.png", "file/https://example.org/x.png", "proxy=https://x.hf.space/x"):
        assert status(stranger, "GET", f"{API}/{path}") == 404
    assert asked == []


def test_every_answer_carries_the_headers(stranger: Stranger) -> None:
    (path,) = stranger.upload(("white.png", png()))
    for where in ("/", "/config", "/nothing", f"{API}/file={path}", f"{API}/info", "/static/img/logo.svg"):
        headers = stranger.http.get(where).headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"].split() == ["'self'", HUB, "https://*.huggingface.co", "https://*.hf.space"]
        assert policy["object-src"] == "'none'"
        assert "http" not in policy["script-src"] + policy["connect-src"] + policy["img-src"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
def test_no_other_site_may_read_answers(stranger: Stranger, origin: str) -> None:
    preflight = {"access-control-request-method": "POST"}
    for host in ("127.0.0.1", "stamp.example"):
        for method, more in (("GET", {}), ("OPTIONS", preflight)):
            answer = stranger.http.request(method, "/config", headers={"origin": origin, "host": host} | more)
            assert [name for name in answer.headers if name.startswith("access-control")] == []
            assert answer.status_code == (200 if method == "GET" else 404)


def test_a_request_that_says_it_is_too_large_is_refused_unread(stranger: Stranger) -> None:
    for path, most, sentence in (
        ("queue/join", MAX_EVENT_BYTES, TOO_LONG),
        ("call/segment", MAX_EVENT_BYTES, TOO_LONG),
        ("upload", MAX_UPLOAD_BYTES, TOO_LARGE),
    ):
        answer = stranger.http.post(f"{API}/{path}", content=bytes(most + 1))
        assert (answer.status_code, answer.json()) == (413, {"detail": sentence})


def test_a_request_that_does_not_say_is_cut_off(stranger: Stranger) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(2 + MAX_UPLOAD_BYTES // 1_000_000):
            yield bytes(1_000_000)

    for path in ("queue/join", "cancel", "upload"):
        kind = "multipart/form-data; boundary=x" if path == "upload" else "application/json"
        try:
            answer = stranger.http.post(f"{API}/{path}", content=parts(), headers={"content-type": kind})
        except httpx.WriteError:  # the server has hung up
            continue
        assert answer.status_code in (400, 413)


def test_many_files_in_one_request_share_its_size(stranger: Stranger) -> None:
    files = [("files", (f"{number}.bin", bytes(1_000_000))) for number in range(30)]
    assert stranger.http.post(f"{API}/upload", files=files).status_code == 413


def test_the_arguments_that_safety_needs_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a host's environment says to Gradio."""
    expected = {"run_history": False, "ssr_mode": False, "mcp_server": False, "num_workers": 0, "show_error": False,
                "enable_monitoring": False, "strict_cors": True, "allowed_paths": []}  # fmt: skip
    assert {name: SAFETY[name] for name in expected} == expected
    assert launch_options().items() >= SAFETY.items()
    monkeypatch.setenv("GRADIO_MCP_SERVER", "True")
    monkeypatch.setenv("GRADIO_NUM_WORKERS", "2")
    monkeypatch.setenv("GRADIO_ALLOWED_PATHS", "/etc")
    monkeypatch.setenv("GRADIO_SSR_MODE", "True")
    with strangers_page() as stranger:
        assert status(stranger, "GET", f"{API}/file=/etc/hostname") == 404
        assert status(stranger, "POST", f"{API}/mcp/") == 404
        assert not stranger.demo.ssr_mode
        assert not stranger.demo.mcp_server
        assert not hasattr(stranger.demo, "_static_worker_pool") or stranger.demo._static_worker_pool is None


def test_nothing_of_the_page_is_sent_to_the_hub_or_to_gradio(stranger: Stranger) -> None:
    assert not stranger.demo.analytics_enabled
    buttons = {block: getattr(block, "buttons", None) or [] for block in stranger.demo.blocks.values()}
    assert [block for block, names in buttons.items() if "share" in names] == []


def test_the_chat_shows_text_and_nothing_else(stranger: Stranger) -> None:
    (chat,) = (block for block in stranger.demo.blocks.values() if isinstance(block, gr.Chatbot))
    assert (chat.allow_tags, chat.latex_delimiters, chat.buttons, chat.sanitize_html) == (False, [], [], True)


def test_no_exception_reaches_a_visitor(stranger: Stranger) -> None:
    ended = stranger.call(stranger.index("opacity"), ["secret"], "odd")
    assert ended["output"]["error"] is None


WRONG_CALLS: list[tuple[str, object, str]] = [
    ("call/v2/segment", {}, f"{BY_NAME}. Missing: image and prompt. {SEE}"),
    ("call/v2/segment", {"image": None, "refine": "none"}, f"{BY_NAME}. Missing: prompt. {SEE}"),
    ("call/v2/segment", {"prompt": "x"}, f"{BY_NAME}. Missing: image. {SEE}"),
    ("call/v2/segment", {"data": [None, "x"]}, f"{BY_NAME}. Missing: image and prompt. {SEE}"),
    ("call/v2/segment/", {"image": None, "prompt": "x", "more": 1, "b": 2}, f"{BY_NAME}. Unknown: b, more. {SEE}"),
    ("call/segment", {"data": []}, f"{BY_PLACE}. Missing: image and prompt. {SEE}"),
    ("call/segment", {"data": [None]}, f"{BY_PLACE}. Missing: prompt. {SEE}"),
    (
        "call/segment",
        {"data": [None, "x", "none", [], 1]},
        f"{BY_PLACE}. This call has 5 values; the limit is 4. {SEE}",
    ),
    *(
        ("call/segment", body, f'{BY_PLACE}. Missing: "data". {SEE}')
        for body in ({}, {"data": "ab"}, {"data": {"0": 1}})
    ),
    *((path, body, NOT_JSON) for path in ("call/segment", "call/v2/segment") for body in ([1], None, "x")),
]


@pytest.mark.parametrize(("path", "body", "sentence"), WRONG_CALLS)
def test_a_call_of_another_shape_is_told_the_right_one(
    stranger: Stranger, path: str, body: object, sentence: str
) -> None:
    answer = stranger.http.post(f"{API}/{path}", json=body)
    assert (answer.status_code, answer.json()) == (422, {"detail": sentence})


def test_calls_of_the_right_shape_pass(stranger: Stranger) -> None:
    (path,) = stranger.upload(("white.png", png()))
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    assert stranger.segment(picture).startswith("event: complete")
    by_name = stranger.http.post(f"{API}/call/v2/segment", json={"image": picture, "prompt": "segment the apple"})
    said = stranger.http.get(f"{API}/call/v2/segment/{by_name.json()['event_id']}").text
    assert said.startswith("event: complete")
    for more in (["none"], ["none", []], [None, None]):
        event = stranger.http.post(f"{API}/call/segment", json={"data": [picture, "segment the apple", *more]})
        said = stranger.http.get(f"{API}/call/segment/{event.json()['event_id']}").text
        assert said.startswith("event: complete"), said
    for bad in (b"", b"{", b"[" * 100_000):
        assert stranger.http.post(f"{API}/call/segment", content=bad).json() == {"detail": NOT_JSON}


def test_an_event_with_too_few_inputs_gets_a_sentence(stranger: Stranger) -> None:
    for name, event in (("picture", "input"), ("race-go", "click")):
        body = {"fn_index": stranger.index(name, event), "data": [], "session_hash": f"few-{name}"}
        assert stranger.http.post(f"{API}/queue/join", json=body).status_code == 200
        (last,) = (one for one in stranger.follow(f"few-{name}") if one["msg"] == "process_completed")
        assert last["output"]["error"] == TOO_FEW

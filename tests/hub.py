"""A hub on this machine's loopback: speaks as much of the hub's protocol as a snapshot download asks for."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


#: What the hub says of other owners' models: status and code.
REFUSED = {"gated": (403, "GatedRepo"), "broken": (500, "")}


class Hub:
    """One public model, `owner/model`, with the files of a folder. served: names of the files that were downloaded."""

    def __init__(self, folder: Path):
        self.files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        self.served: list[str] = []

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path."""
        found = re.fullmatch(r"(?:/api/models)?/(\w+)/(\w+)(?:/(revision|tree|resolve)/(\w+))?(?:/([^/]+))?", path)
        owner, model, what, revision, name = found.groups() if found else ("", "", "", "", "")
        if (owner, model) != ("owner", "model"):
            status, code = REFUSED.get(owner, (401, "RepoNotFound"))
            return status, {"X-Error-Code": code}, b"{}"
        if revision not in ("main", COMMIT):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        if what == "resolve":
            content = self.files[name]
            return 200, {"ETag": f'"{sha(content)}"', "X-Repo-Commit": COMMIT}, content
        body = self.tree() if what == "tree" else {"id": "owner/model", "sha": COMMIT, "siblings": []}
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

    def tree(self) -> list[dict[str, object]]:
        """The listing of the files."""
        return [
            {"type": "file", "path": name, "size": len(content), "oid": sha(content)}
            for name, content in self.files.items()
        ]


def sha(content: bytes) -> str:
    """As git names a file's content, or nearly."""
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serve(hub: Hub) -> Iterator[str]:
    """The address at which the hub answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send(with_body=True)

        def do_HEAD(self) -> None:
            self.send(with_body=False)

        def send(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            status, headers, body = hub.answer(path)
            if with_body and status == 200 and "/resolve/" in path:
                hub.served.append(path.rpartition("/")[2])
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()

"""ASGI middleware in front of Gradio: which routes exist, limits on rate and size, and the headers of every response.

Gradio serves far more than the page needs: calls around its queue, a proxy, recordings, a code assistant, monitoring.
Only the routes that the page and `/segment` need are listed here; everything else returns 404.
"""

import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs

from fastapi import HTTPException
from gradio.utils import get_upload_folder
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.security.calls import problem_by_name, problem_by_place
from demo.security.limits import BUSY, Limits, address_of
from demo.security.presence import Presence

API = "/gradio_api"
NOT_FOUND = "Not found"
TOO_LARGE = "This file is too large. A picture may have up to 20 MB."
TOO_LONG = "This request is too long. Shorten your text, or begin a new conversation."
#: A picture of 20 MB, a little more so that the loader's own sentence is heard, and the form around it.
MAX_UPLOAD_BYTES = 26_000_000
#: What an event sends along: words, numbers, the path of an upload.
MAX_EVENT_BYTES = 256_000
#: Names of sessions are made up by clients, and kept for a while.
MAX_SESSION_CHARS = 128
SESSION = rf"[^/]{{1,{MAX_SESSION_CHARS}}}"


@dataclass(frozen=True)
class Route:
    """Something that is served. path: a regular expression for the whole path. body_bytes: of a request at most.

    per_minute: requests of one address. stays_open: a connection that says somebody is there ("tab", "reader": its
    session is the last part of the path, or `session_hash` in the query), or that lasts as long as an upload.
    problem: what is wrong with a body, which is then refused.
    """

    methods: str
    path: str
    body_bytes: int = 0
    per_minute: int | None = None
    stays_open: Literal["tab", "reader", "upload"] | None = None
    problem: Callable[[bytes], str | None] | None = None

    @property
    def refusal(self) -> str:
        """What a client hears whose request is larger than `body_bytes`."""
        return TOO_LARGE if self.body_bytes == MAX_UPLOAD_BYTES else TOO_LONG

    @property
    def can_last(self) -> bool:
        """Whether the client decides how long it takes: it listens, or sends a body."""
        return self.stays_open is not None or self.body_bytes > 0


ROUTES = (
    Route("GET HEAD", r"/", per_minute=240),
    Route("GET", r"/config/?", per_minute=240),
    Route("GET", r"/(theme\.css|manifest\.json|favicon\.ico|robots\.txt)"),
    Route("GET", r"/(assets|static)/.+"),
    Route("GET HEAD", r"/(health|preview\.jpg)", per_minute=240),
    Route("GET", rf"{API}/(info/?|openapi\.json|theme\.css|startup-events|app_id/?)", per_minute=240),
    Route("GET HEAD", rf"{API}/file=.+"),
    Route("POST", rf"{API}/upload", MAX_UPLOAD_BYTES, per_minute=60),
    Route("GET", rf"{API}/upload_progress", per_minute=240, stays_open="upload"),
    Route("POST", rf"{API}/queue/join", MAX_EVENT_BYTES, per_minute=1200),
    Route("GET", rf"{API}/queue/data", per_minute=1200, stays_open="reader"),
    Route("POST", rf"{API}/call/segment/?", MAX_EVENT_BYTES, per_minute=240, problem=problem_by_place),
    Route("POST", rf"{API}/call/v2/segment/?", MAX_EVENT_BYTES, per_minute=240, problem=problem_by_name),
    Route("GET", rf"{API}/call/(v2/)?segment/{SESSION}", per_minute=1200, stays_open="reader"),
    Route("POST", rf"{API}/(cancel|reset/?)", MAX_EVENT_BYTES, per_minute=1200),
    Route("GET", rf"{API}/heartbeat/{SESSION}", per_minute=1200, stays_open="tab"),
)

#: Gradio's page needs inline scripts, and makes functions of texts for `js=`. All else is from this server alone.
#: A Space is shown in a frame of the Hub.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
}


class Rates:
    """How often somebody may still ask for something: a full minute's worth at once, refilled evenly."""

    MAX_KEPT = 20_000

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # the latest is last

    def take(self, who: str, what: str, per_minute: int) -> bool:
        """Whether one more may be; if so, it is counted."""
        now = self.clock()
        left, at = self._left.get((who, what), (float(per_minute), now))
        left = min(per_minute, left + (now - at) * per_minute / 60)
        if left < 1:
            return False
        self._left[who, what] = (left - 1, now)
        self._left.move_to_end((who, what))
        if len(self._left) > self.MAX_KEPT:  # made-up addresses must not fill the memory
            self._left.popitem(last=False)
        return True


class Gate:
    """ASGI middleware around the whole of Gradio's application.

    session_of: the session that reads the event of an id (`/call/segment/ID`).
    """

    def __init__(self, app: ASGIApp, limits: Limits, presence: Presence, session_of: Callable[[str], str]):
        self.app = app
        self.limits = limits
        self.presence = presence
        self.session_of = session_of
        self.rates = Rates()
        self._open: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what passes, as an ASGI application."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._serve(scope, receive, guarded(send))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        route = find_route(scope["method"], path)
        address = address_of(scope.get("client"))
        if route is None or not may_fetch(path):
            await refuse(send, 404, NOT_FOUND)
        elif self.limits.has_rates and route.per_minute and not self.rates.take(address, route.path, route.per_minute):
            await refuse(send, 429, BUSY)
        elif not route.can_last:
            await self._answer(route, scope, receive, send)
        elif self.limits.streams is not None and self._open.get(address, 0) >= self.limits.streams:
            await refuse(send, 429, BUSY)
        else:
            await self._hold(route, path, address, scope, receive, send)

    async def _answer(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(receive, send, route)
        if body.is_announced_too_large(Headers(scope=scope)):
            await refuse(send, 413, route.refusal)
        elif route.problem and (problem := route.problem(await body.read_ahead())) and not body.is_refused:
            await refuse(send, 422, problem)
        else:
            await body.pass_to(self.app, scope)

    async def _hold(self, route: Route, path: str, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what can take long: it is counted, and a connection that stays open says that somebody is there."""
        self._open[address] = self._open.get(address, 0) + 1
        try:
            with self._present(route, path, scope):
                await self._answer(route, scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    def _present(self, route: Route, path: str, scope: Scope) -> AbstractContextManager[None]:
        if route.stays_open not in ("tab", "reader"):
            return nullcontext()
        if path.endswith("/queue/data"):
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            session = next(iter(query.get("session_hash", [])), "")
        else:
            session = path.rpartition("/")[2]
            session = self.session_of(session) if route.stays_open == "reader" else session
        if not 1 <= len(session) <= MAX_SESSION_CHARS:  # no event has it
            return nullcontext()
        return self.presence.tab(session) if route.stays_open == "tab" else self.presence.reader(session)


def find_route(method: str, path: str, routes: Iterable[Route] = ROUTES) -> Route | None:
    """The route that serves this; None where nothing does."""
    return next((one for one in routes if method in one.methods.split() and re.fullmatch(one.path, path)), None)


def may_fetch(path: str) -> bool:
    """Whether a path is no file, or one in Gradio's upload folder; never an address elsewhere."""
    _, is_file, name = path.partition(f"{API}/file=")
    if not is_file:
        return True
    try:
        return Path(name).resolve().is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def guarded(send: Send) -> Send:
    """`send`, with the headers of HEADERS and without those that let other sites read answers (CORS)."""

    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers if name.lower().startswith("access-control-")]:
                del headers[name]
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return send_guarded


class Body:
    """The body of a request, counted. A body that grows too large is refused, and the application sees a hang-up."""

    def __init__(self, receive: Receive, send: Send, route: Route):
        self._receive, self._send, self.route = receive, send, route
        self.n_bytes = 0
        self.is_refused = False
        self.has_started = False
        self._ahead: list[Message] = []

    def is_announced_too_large(self, headers: Headers) -> bool:
        """Whether the request itself says so."""
        announced = headers.get("content-length", "0")
        return announced.isdecimal() and int(announced) > self.route.body_bytes

    async def pass_to(self, app: ASGIApp, scope: Scope) -> None:
        """Let the application answer."""
        try:
            await app(scope, self.receive, self.send)
        except Exception as error:
            if self.has_started and isinstance(error.__cause__, HTTPException):
                # Gradio ends the stream of a session that it does not know like this, after it has told the client.
                await self._send({"type": "http.response.body"})
            elif not self.is_refused:  # otherwise it complains of the hang-up
                raise

    async def read_ahead(self) -> bytes:
        """The whole body; the application gets it afterwards all the same."""
        messages: list[Message] = []
        while not messages or messages[-1].get("more_body"):
            messages.append(await self.receive())
        self._ahead = messages
        return b"".join(message.get("body", b"") for message in messages)

    async def receive(self) -> Message:
        """The next part of the request."""
        if self._ahead:
            return self._ahead.pop(0)
        if self.is_refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self.n_bytes += len(message.get("body", b""))
        if self.n_bytes > self.route.body_bytes and not self.has_started:
            self.is_refused = True
            await refuse(self._send, 413, self.route.refusal)
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer; nothing after a refusal."""
        if not self.is_refused:
            self.has_started = True
            await self._send(message)


async def refuse(send: Send, status: int, sentence: str) -> None:
    """A whole answer; Gradio's page shows the sentence."""
    body: dict[str, Any] = {"detail": sentence}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})

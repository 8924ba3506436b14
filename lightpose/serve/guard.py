"""The outermost layer of the server: who may ask, and how many bytes. No parser sees a request before it has passed."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from lightpose.serve.problems import MEDIA_TYPE, ProblemError, busy
from lightpose.serve.service import Service

__all__ = ["HEADERS", "HEADER_BYTES", "TOKEN_PROTOCOL", "App", "Guard"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

TOKEN_PROTOCOL = "token."
"""What a WebSocket's subprotocol with the token begins with: browsers cannot send headers with one."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
        "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""Of every answer; an answer may have a `cache-control` of its own."""

MOST_HEADERS, HEADER_BYTES = 100, 32_768
BYTES_A_SECOND = 50_000
"""A body that comes slower, after some seconds of grace, is cut."""
HELD_UPLOADS = 8
"""So many of the largest bodies are held at a time; small ones are more."""
LINGER_S, LINGER_BYTES = 1.0, 2**26
"""How long, and how much of, a refused body is read and dropped, so that its sender comes to read the refusal."""

_logger = logging.getLogger("lightpose")
_ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_CLOSE = (b"connection", b"close")


class Guard:
    """An ASGI application before another."""

    def __init__(self, app: App, service: Service, paths: Iterable[str]) -> None:
        self._app, self._service, self._settings = app, service, service.settings
        self._paths = frozenset(paths)
        self._held = 0
        self._token = None if self._settings.token is None else self._settings.token.encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        if scope["type"] == "websocket":
            try:
                self._check(scope, headers)
            except ProblemError as problem:
                await _deny(problem, send)
                return
            await self._unforeseen(scope, receive, send)
            return
        exchange = _Exchange(self, headers, receive, send)
        try:
            self._check(scope, headers)
            exchange.check_length()
            await self._unforeseen(scope, exchange.receive, exchange.send)
        except ProblemError as problem:
            await exchange.refuse(problem)
        finally:
            self._held -= exchange.received
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._service.metrics.count_request(path, exchange.status, time.monotonic() - exchange.begun_s)

    def hold(self, count: int) -> None:
        """Note bytes that have come. Raises a ProblemError if the bodies of all requests together are too large."""
        self._held += count
        if self._held > HELD_UPLOADS * self._settings.max_upload:
            raise busy("too many large requests come at once; try again in a second")

    @property
    def service(self) -> Service:
        """What is guarded."""
        return self._service

    async def _unforeseen(self, scope: Message, receive: Receive, send: Send) -> None:
        """Run the application; what it fails with is told by its kind alone: the rest may hold what is a client's."""
        try:
            await self._app(scope, receive, send)
        except ProblemError:
            raise
        except Exception as error:  # its answer, a problem of status 500, has been sent
            _logger.warning("a request failed: %s", type(error).__name__)

    def _check(self, scope: Message, headers: dict[bytes, bytes]) -> None:
        """Raise a ProblemError unless the request is for this server, from its page or none, and has the token."""
        if len(scope["headers"]) > MOST_HEADERS or sum(map(len, headers.values())) > HEADER_BYTES:
            raise ProblemError(431, f"the request has more than {MOST_HEADERS} headers, or too long ones; send fewer")
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_ours(host):
            told = "start it with --allow-host to have it answer to this name"
            raise ProblemError(403, f"this server answers to its address in numbers and to localhost; {told}")
        origin = headers.get(b"origin")
        crossed = headers.get(b"sec-fetch-site") == b"cross-site" and scope.get("method") != "GET"
        if crossed or (origin is not None and _place(origin.decode("latin-1")) != host.lower()):
            raise ProblemError(403, "pages of other sites may not use this server; use its own page, or a program")
        if self._token is not None and (scope["path"].startswith("/v1/") or scope["path"] == "/metrics"):
            shown = headers.get(b"authorization", b"").partition(b" ")
            given = shown[2].strip() if shown[0].lower() == b"bearer" else b""
            if scope["type"] == "websocket":
                begin = TOKEN_PROTOCOL
                offered = [name for name in scope.get("subprotocols", ()) if name.startswith(begin)]
                given = given or (offered[0].removeprefix(begin).encode() if offered else b"")
            if not hmac.compare_digest(given, self._token):
                how = {"WWW-Authenticate": 'Bearer realm="lightpose"'}
                raise ProblemError(401, "this server wants its token; send the header Authorization: Bearer TOKEN", how)

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header is an address in numbers, which no foreign name can be bound to, or an allowed name."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname or "", parts.port
        except ValueError:
            return False
        if not name or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name == "localhost" or name in (each.lower() for each in self._settings.allowed_hosts)
        return True


class _Exchange:
    """A request whose bytes are counted as they come, and its answer."""

    def __init__(self, guard: Guard, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        self._guard, self._headers, self._receive, self._send = guard, headers, receive, send
        self._settings = guard.service.settings
        self.received = 0
        self.status = 0
        self.begun_s = time.monotonic()
        self._whole = headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers

    def check_length(self) -> None:
        """Raise a ProblemError if the body is said to be too large."""
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._settings.max_upload:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next part of the body. Raises a ProblemError if it is too large or too slow."""
        if self._whole:
            return await self._receive()
        left_s = self.begun_s + self._settings.body_s + self.received / BYTES_A_SECOND - time.monotonic()
        try:
            async with asyncio.timeout(max(left_s, 0)):
                message = await self._receive()
        except TimeoutError as error:
            raise ProblemError(408, "the body comes too slowly; send it again over a better connection") from error
        if message["type"] == "http.request":
            count = len(message.get("body", b""))
            self.received += count
            self._guard.hold(count)
            if self.received > self._settings.max_upload:
                raise self._too_large()
            self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer; a body that is not wanted any more is dropped first, as its sender reads late."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name for name, _ in message["headers"]}
            more = [pair for pair in _ENCODED if pair[0] not in own]
            if not self._whole or self._guard.service.draining:
                more.append(_CLOSE)
            message = {**message, "headers": [*message["headers"], *more]}
        elif not self._whole and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drop_body()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def refuse(self, problem: ProblemError) -> None:
        """Answer with a problem, unless an answer has begun."""
        if self.status:
            return
        content = problem.content()
        pairs = {"content-type": MEDIA_TYPE, "content-length": str(len(content)), **problem.headers}
        headers = [(name.lower().encode(), value.encode()) for name, value in pairs.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": content})

    async def _drop_body(self) -> None:
        """Read what is left of the body, within bounds."""
        dropped = 0
        try:
            async with asyncio.timeout(LINGER_S):
                while dropped < LINGER_BYTES:
                    message = await self._receive()
                    dropped += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return

    def _too_large(self) -> ProblemError:
        most = self._settings.max_upload
        return ProblemError(413, f"the request has more than {most:,} bytes, the most that is taken; send less")


async def _deny(problem: ProblemError, send: Send) -> None:
    """Refuse a WebSocket before it is one."""
    headers = [(b"content-type", MEDIA_TYPE.encode()), *_ENCODED]
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": problem.content()})


def _headers(scope: Message) -> dict[bytes, bytes]:
    """The headers by name; several of one name are joined, so that none hides another."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found[name] = value if name not in found else found[name] + b", " + value
    return found


def _place(origin: str) -> str:
    """Host and port of an Origin header."""
    return origin.partition("://")[2].lower()

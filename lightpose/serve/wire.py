"""uvicorn with patience that ends: for slow headers, for answers that nobody reads, and for requests at the end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from lightpose.serve.guard import HEADER_BYTES, App
from lightpose.serve.problems import MEDIA_TYPE, ProblemError
from lightpose.serve.service import Service

__all__ = ["GRACEFUL_S", "Server", "configured"]

WEBSOCKET_BYTES = 8_000_000
CONNECTIONS = 8192
GRACEFUL_S = 7
"""Seconds that requests in work have at the end, beside `drain_s`."""


class _Connection(H11Protocol):
    """A connection that is cut if headers do not come, or if what is sent is not taken."""

    head_s = write_s = 10.0
    _head: asyncio.TimerHandle | None = None
    _write: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if (raw := transport.get_extra_info("socket")) is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            with suppress(OSError):  # not a socket of TCP
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2000 * self.write_s))
        self._head = self.loop.call_later(self.head_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._head is None and self._is_idle():
            self._head = self.loop.call_later(self.head_s, self.transport.abort)
        super().data_received(data)
        if not self._is_idle():
            self._stop_waiting()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._stop_waiting()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write = self._write or self.loop.call_later(self.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write is not None:
            self._write.cancel()
            self._write = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence says nothing
        told = f"this is no request of HTTP/1.1, or its headers have more than {HEADER_BYTES:,} bytes; send it anew"
        problem = ProblemError(400, told)
        headers = [("content-type", MEDIA_TYPE), ("connection", "close")]
        with suppress(h11.LocalProtocolError):  # an answer has begun
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=problem.content()),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class _Stream(WebSocketsSansIOProtocol):
    """A WebSocket that is not read while what it is sent is not taken, such as pongs, and is cut if that lasts."""

    write_s = 10.0
    _write: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()
        self._write = self._write or self.loop.call_later(self.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_waiting()
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._write is not None:
            self._write.cancel()
            self._write = None


class Server(uvicorn.Server):
    """Ends on SIGTERM in three steps: not ready; no new connections; requests in work are answered. On Ctrl-C, the
    first is left out.

    told: called once requests can come.
    """

    def __init__(self, config: uvicorn.Config, service: Service, told: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._told = service, told
        self._ending_s = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open for requests."""
        await super().startup(sockets)
        self._told()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end; asked ten times a second."""
        self._service.metrics.refresh()
        drained = self._ending_s and time.monotonic() - self._ending_s >= self._service.settings.drain_s
        if drained or self._service.batcher.failure is not None:
            self.should_exit = True
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as signal handlers are called
        """Begin to end; at once at the second signal."""
        self.force_exit = self.force_exit or (self._ending_s > 0 and sig == signal.SIGINT)
        self.should_exit = self.should_exit or sig == signal.SIGINT
        self._ending_s = self._ending_s or time.monotonic()
        self._service.draining = True


def configured(app: App, service: Service) -> uvicorn.Config:
    """Uvicorn's configuration: it logs nothing of a request."""
    settings = service.settings
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).disabled = True
    limits: dict[str, Any] = {"head_s": settings.head_s, "write_s": settings.write_s}
    return uvicorn.Config(
        app,
        http=type("Connection", (_Connection,), limits),
        ws=type("Stream", (_Stream,), {"write_s": settings.write_s}),
        ws_max_size=min(settings.max_upload, WEBSOCKET_BYTES),
        ws_per_message_deflate=False,
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACEFUL_S,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )

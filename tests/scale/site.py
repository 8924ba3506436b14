"""A web server of this computer."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Dripped(bytes):
    """A body that is sent byte by byte, with pauses."""


class Site(BaseHTTPRequestHandler):
    """Answers GET by what `pages` has: a status, fields, and a body."""

    pages: dict[str, tuple[int, dict[str, str], bytes]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, fields, body = self.pages.get(self.path, (404, {}, b""))
        asked = self.headers.get("Range", "")
        if status == 200 and asked and fields.get("Accept-Ranges") != "none":
            start, end = map(int, asked.removeprefix("bytes=").split("-"))
            fields = {**fields, "Content-Range": f"bytes {start}-{end}/{len(body)}"}
            status, body = (206, body[start : end + 1]) if start < len(body) else (416, b"")
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):
            for piece in body if isinstance(body, Dripped) else (body,):
                self.wfile.write(bytes((piece,)) if isinstance(piece, int) else piece)
                time.sleep(0.02 if isinstance(piece, int) else 0)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[tuple[str, dict]]:
    """A web server of this computer: where it is, and its pages."""
    handler = type("Handler", (Site,), {"pages": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.pages
    server.shutdown()
    thread.join()
    server.server_close()

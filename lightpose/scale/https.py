"""Images from https addresses: limited in size and time, never led from https to anything else."""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lightpose.errors import (
    ImageError,
    ImageMissingError,
    ImageTooLargeError,
    MissingPackageError,
    UnreachableError,
    brief,
)

if TYPE_CHECKING:
    import httpx

__all__ = ["Web", "is_web"]

_LOCAL = {"localhost", "127.0.0.1", "::1"}
_REDIRECTIONS = 5
_LATER = {408, 425, 429}
"""Statuses besides 5xx that mean: ask again later."""


def is_web(place: str) -> bool:
    """Whether a place is an https address, or an http one of this very computer."""
    if place.startswith("https://"):
        return True
    try:
        return place.startswith("http://") and urlsplit(place).hostname in _LOCAL
    except ValueError:
        return False


@dataclass
class Web:
    """A client that keeps its connections. Another process that gets it opens its own.

    timeout_s: for a request, and for all of its answer.
    """

    timeout_s: float = 60.0
    _client: httpx.Client | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"timeout_s": self.timeout_s, "_client": None}

    def read(self, address: str, most: int, start: int | None = None) -> bytes:
        """What lies at an address, of `most` bytes; with `start`, so many bytes from there on.

        Raises ImageError if it is not there, too large or refused, and UnreachableError if asking again may help.
        """
        wanted = {} if start is None else {"Range": f"bytes={start}-{start + most - 1}"}
        try:
            response = self._follow(address, wanted)
            try:
                if start is not None and response.status_code == 416:
                    return b""
                _check(response, address, 200 if start is None else 206)
                return _received(response, address, most, self.timeout_s)
            finally:
                response.close()
        except _transport_errors() as error:
            raise UnreachableError(f"{address} does not answer ({brief(error) or type(error).__name__})") from error

    def size_and_stamp(self, address: str) -> tuple[int, str]:
        """A file's bytes, and its ETag or date, from the answer to a request for its first byte."""
        try:
            response = self._follow(address, {"Range": "bytes=0-0"})
            response.close()
        except _transport_errors() as error:
            raise UnreachableError(f"{address} does not answer ({brief(error) or type(error).__name__})") from error
        _check(response, address, 206)
        size = response.headers.get("Content-Range", "").rpartition("/")[2]
        if not size.isdigit():
            raise ImageError(f"{address} does not tell its size; copy it to a folder or a bucket")
        return int(size), f"{size} {response.headers.get('ETag') or response.headers.get('Last-Modified', '')}"

    def _follow(self, address: str, headers: dict[str, str]) -> httpx.Response:
        """The answer behind all redirections, whose body has not been read yet."""
        import httpx

        if self._client is None:
            self._client = _client(self.timeout_s)
            weakref.finalize(self, self._client.close)
        try:
            request = self._client.build_request("GET", address, headers=headers)
        except (httpx.InvalidURL, ValueError) as error:
            raise ImageError(f"{address} is no address: {brief(error)}") from error
        if request.url.userinfo:
            raise ImageError("an address with a password in it would be kept and shown; leave the password out")
        for _ in range(_REDIRECTIONS):
            response = self._client.send(request, stream=True)
            if response.next_request is None:
                return response
            response.close()
            request = response.next_request
            if request.url.scheme != "https" and not (address.startswith("http://") and is_web(str(request.url))):
                raise ImageError(f"{address} leads to {request.url}, which is no https address")
        raise ImageError(f"{address} leads on and on, more than {_REDIRECTIONS} times")


def _client(timeout_s: float) -> httpx.Client:
    import httpx

    from lightpose import __version__

    return httpx.Client(
        timeout=timeout_s,
        headers={"User-Agent": f"lightpose/{__version__}", "Accept-Encoding": "identity"},
        limits=httpx.Limits(max_keepalive_connections=32),
    )


def _transport_errors() -> type[Exception]:
    try:
        import httpx
    except ImportError as error:
        raise MissingPackageError("httpx", "scale") from error
    return httpx.TransportError


def _check(response: httpx.Response, address: str, expected: int) -> None:
    status = response.status_code
    if status == expected:
        return
    if status >= 500 or status in _LATER:
        raise UnreachableError(f"{address} cannot be read now: the server says {status}")
    if status == 200:
        raise ImageError(f"{address}: this server gives no parts of files; copy the file to a folder or a bucket")
    kind = ImageMissingError if status in (404, 410) else ImageError
    raise kind(f"{address} cannot be read: the server says {status} {response.reason_phrase}")


def _received(response: httpx.Response, address: str, most: int, timeout_s: float) -> bytes:
    """The body, as long as it is small enough and comes in time."""
    length = response.headers.get("Content-Length", "")
    content, deadline = bytearray(), time.monotonic() + timeout_s
    if not (length.isdigit() and int(length) > most):
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > most:
                break
            if time.monotonic() > deadline:
                raise UnreachableError(f"{address} did not come within {timeout_s:g} seconds")
        else:
            return bytes(content)
    raise ImageTooLargeError(f"{address} has more than the {most:,} bytes that are read")

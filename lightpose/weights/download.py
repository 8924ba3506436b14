"""A file from an https address: streamed to the disk, limited in size, and taken up again where it was broken off."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from lightpose.errors import ConfigError, WeightsError
from lightpose.io.files import is_plain, write_aside

__all__ = ["download"]

TIMEOUT_S = 30
_CHUNK = 2**20
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def download(address: str, partial: Path, largest: int, progress: Callable[[int, int | None], None]) -> None:
    """Fetch an address into a file, which a broken connection leaves as far as it came.

    A server that can gives the rest of a file that is the same as before, by its ETag or date; else it begins anew.
    largest: most bytes. Raises ConfigError unless the address is https, or http of this very computer; WeightsError if
    the server gives no file, one that is too large, or breaks off.
    """
    _check_address(address)
    beside = partial.with_name(f"{partial.name}.json")
    start, mark = _begun(partial, beside, address)
    headers = {"User-Agent": "lightpose", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": mark}
    try:
        with _opener().open(Request(address, headers=headers), timeout=TIMEOUT_S) as answer:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", "")) if answer.status == 206 else None
            start = start if found and int(found[1]) == start else 0
            length = answer.headers.get("Content-Length")
            total = start + int(length) if length and length.isdigit() else None
            if total is not None and total > largest:
                raise WeightsError(f"{address} has {total:,} bytes, more than {largest:,}; it was not fetched")
            write_aside(beside, json.dumps({"address": address, "mark": _mark(answer.headers)}).encode(), sync=False)
            size = _receive(answer, partial, start, largest, total, progress, address)
    except HTTPError as error:
        if error.code == 416:  # what is there is no beginning of it
            partial.unlink(missing_ok=True)
        raise WeightsError(f"{address} cannot be fetched: the server says {error.code} {error.reason}") from error
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(f"{address} cannot be fetched ({reason}); give the same command again to go on") from error
    if total is not None and size != total:
        raise WeightsError(f"{address} broke off after {size:,} of {total:,} bytes; the same command goes on there")
    beside.unlink(missing_ok=True)


def _receive(
    answer: IO[bytes],
    partial: Path,
    start: int,
    largest: int,
    total: int | None,
    progress: Callable[[int, int | None], None],
    address: str,
) -> int:
    """Append what comes to the file; returns its size."""
    if partial.is_symlink():
        raise ConfigError(f"{partial} is a link, and nothing is written through links; remove it")
    size = start
    with partial.open("ab" if start else "wb") as file:
        while chunk := answer.read(_CHUNK):
            size += len(chunk)
            if size > largest:
                file.close()
                partial.unlink()
                raise WeightsError(f"{address} has more than {largest:,} bytes; it was not kept")
            file.write(chunk)
            progress(size, total)
    return size


def _begun(partial: Path, beside: Path, address: str) -> tuple[int, str]:
    """How much of an address is there already, and the server's mark of that version; 0 where one cannot go on."""
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))
        same, mark = told["address"] == address, str(told["mark"])
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return 0, ""
    return (partial.stat().st_size, mark) if same and mark and is_plain(partial) else (0, "")


def _mark(headers: Any) -> str:
    """What tells one version of a file from another: a strong ETag, or its date."""
    tag = headers.get("ETag", "")
    return str(tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", ""))


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise ConfigError(f"{address} is no https address; give one, or fetch the file yourself and give its path")
    if parts.username or parts.password:
        raise ConfigError("an address with a password in it would be kept and shown; fetch the file yourself")


class _Redirects(HTTPRedirectHandler):
    """Follows redirections to addresses that might have been given."""

    def redirect_request(self, request: Any, *rest: Any) -> Any:
        _check_address(rest[-1])
        return super().redirect_request(request, *rest)


def _opener() -> OpenerDirector:
    return build_opener(_Redirects)

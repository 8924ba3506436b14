"""Bytes from wherever an image or a table lies: a file, an object in a bucket, an https address."""

from __future__ import annotations

import posixpath
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lightpose.errors import (
    ConfigError,
    ImageError,
    ImageMissingError,
    ImageTooLargeError,
    LightposeError,
    UnreachableError,
)
from lightpose.io.images import max_bytes
from lightpose.scale.buckets import Buckets, CredentialsError, ObjectAddress, is_bucket, request_timeout_s
from lightpose.scale.folder_source import read_file
from lightpose.scale.https import Web, is_web
from lightpose.scale.object_store import object_error
from lightpose.scale.source import SourceOptions

__all__ = ["Fetcher", "is_remote", "referred", "stamp_of"]

Given = TypeVar("Given")

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 20.0


def is_remote(place: str) -> bool:
    """Whether a place is an address, and not a path of this computer."""
    return is_bucket(place) or is_web(place)


def referred(text: str, table: str) -> str:
    """The place that a row of a table or list names; a relative path counts from the table's folder.

    A table from elsewhere names no file of this computer, and no server on it. Raises ImageError if it does.

    >>> referred("photos/a.jpg", "s3://bucket/table.parquet")
    's3://bucket/photos/a.jpg'
    """
    scheme, colon, _ = text.partition("://")
    if not text:
        raise ImageMissingError(f"a row of {table} names no image: its text is empty")
    if colon and scheme.isalnum():
        if not is_remote(text) or (is_remote(table) and text.startswith("http://")):
            raise ImageError(f"{text} is no address that is read; s3://, gs://, az:// and https:// are")
        return text
    if not is_remote(table):
        return str(Path(table).parent / text)
    parts = posixpath.normpath(text).split("/")
    if text.startswith("/") or parts[0] == "..":
        raise ImageError(f"{text} is outside the folder of {table}, and a table from elsewhere may not name it")
    return f"{table.rpartition('/')[0]}/{'/'.join(parts)}"


@dataclass
class Fetcher:
    """Reads whole files and parts of them. One may be used by many threads; another process opens all anew.

    Every method raises ImageError where trying again is of no use, UnreachableError where it may help, and
    CredentialsError where nothing else can be read either. timeout_s: for a request. tries: of each, with pauses.
    """

    timeout_s: float = 30.0
    tries: int = 1
    _buckets: Buckets = field(init=False, repr=False, compare=False)
    _web: Web = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._buckets, self._web = Buckets(self.timeout_s, retries=0), Web(self.timeout_s)

    @classmethod
    def of(cls, options: SourceOptions, patient: bool = False) -> Fetcher:
        """What a source reads with. patient: try again here, as for a listing, for which no worker does it."""
        return cls(min(options.patience_s, request_timeout_s()), options.tries if patient else 1)

    def read(self, place: str) -> bytes:
        """The bytes of an image's file. Raises ImageTooLargeError if there are more than an image may have."""
        most = max_bytes()
        if is_web(place):
            return self._tried(lambda: self._web.read(place, most))
        content = self._object(place, most) if is_bucket(place) else read_file(Path(place))
        if len(content) > most:
            raise ImageTooLargeError(f"{place} has more than the {most:,} bytes that are read")
        return content

    def size_and_stamp(self, place: str) -> tuple[int, str]:
        """The bytes of a file, and what changes when the file does."""
        if is_web(place):
            return self._tried(lambda: self._web.size_and_stamp(place))
        if is_bucket(place):
            meta = self._asked(place, lambda handle, key: handle.head(key))
            return meta["size"], stamp_of(meta)
        try:
            status = Path(place).stat()
        except (OSError, ValueError) as error:
            raise ImageMissingError(f"cannot read {place}: {getattr(error, 'strerror', error)}") from error
        return status.st_size, f"{status.st_size} {status.st_mtime_ns}"

    def read_range(self, place: str, start: int, size: int) -> bytes:
        """`size` bytes of a file from `start`, or as many as there are."""
        if is_web(place):
            return self._tried(lambda: self._web.read(place, size, start))
        if is_bucket(place):
            return self._asked(place, lambda handle, key: bytes(handle.get_range(key, start=start, length=size)))
        try:
            if not Path(place).is_file():  # the opening of a pipe would wait for who writes to it
                raise ImageMissingError(f"cannot read {place}: there is no such file")
            with Path(place).open("rb") as file:
                file.seek(start)
                return file.read(size)
        except (OSError, ValueError) as error:
            raise ImageError(f"cannot read {place}: {getattr(error, 'strerror', error)}") from error

    def _object(self, place: str, most: int) -> bytes:
        """The bytes of an object; of one that is too large none but its size is asked for."""

        def read(handle: Any, key: str) -> bytes:
            got = handle.get(key)
            if got.meta["size"] > most:
                raise ImageTooLargeError(
                    f"{place} has {got.meta['size']:,} bytes, more than the {most:,} that are read"
                )
            return bytes(got.bytes())

        return self._asked(place, read)

    def _asked(self, place: str, act: Callable[[Any, str], Given]) -> Given:
        """Ask for an object; what goes wrong becomes one of the three errors."""
        try:
            address = ObjectAddress.of(place)
        except ConfigError as error:
            raise ImageError(str(error)) from error

        def ask() -> Given:
            try:
                return act(self._buckets.of(address), address.key)
            except LightposeError:
                raise
            except Exception as error:
                told, final = object_error(error, address, "read")
                if not final:
                    raise UnreachableError(str(told)) from error
                if isinstance(told, CredentialsError):
                    raise told from error
                kind = ImageMissingError if isinstance(error, FileNotFoundError) else ImageError
                raise kind(str(told)) from error

        return self._tried(ask)

    def _tried(self, act: Callable[[], Given]) -> Given:
        """Do it, and again after a pause, longer each time, as long as it fails in a way that may pass."""
        for count in range(1, self.tries):
            try:
                return act()
            except UnreachableError:
                time.sleep(min(_FIRST_WAIT_S * 2**count, _LONGEST_WAIT_S) * random.uniform(0.5, 1.0))
        return act()


def stamp_of(meta: Any) -> str:
    """What changes when an object does: its size, and the store's mark of its content."""
    return f"{meta['size']} {meta['e_tag'] or meta['last_modified'].isoformat()}"

"""A file that is read in parts, wherever it lies: what pyarrow and tarfile want of a file."""

from __future__ import annotations

import io
from typing import Any

from lightpose.errors import DataError
from lightpose.scale.fetch import Fetcher

__all__ = ["open_parts"]

_MOST = 2**30
"""Bytes that are read at once: what asks for more has believed a damaged length."""


class _Parts(io.RawIOBase):
    """A file of a known size, read by ranges. Errors are those of `Fetcher`."""

    def __init__(self, fetcher: Fetcher, place: str, size: int) -> None:
        super().__init__()
        self._fetcher, self._place, self._size, self._at = fetcher, place, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        wanted = min(len(view), self._size - self._at)
        if wanted <= 0:
            return 0
        if wanted > _MOST:
            raise DataError(f"{self._place} is damaged: it speaks of {wanted:,} bytes in one piece")
        content = self._fetcher.read_range(self._place, self._at, wanted)
        view[: len(content)] = content
        self._at += len(content)
        return len(content)


def open_parts(fetcher: Fetcher, place: str, buffer: int) -> tuple[io.BufferedReader, str]:
    """A file to read and seek in, and its stamp. buffer: bytes that are asked for at least.

    Raises ImageError, Unreachable or StoreError, here and when it is read.
    """
    size, stamp = fetcher.size_and_stamp(place)
    return io.BufferedReader(_Parts(fetcher, place, size), buffer), stamp

"""Sizes of image files, told from their first bytes: many thousands a second."""

from __future__ import annotations

import os
from pathlib import Path

from lightpose.errors import ImageError
from lightpose.io.images import read_image

__all__ = ["picture_hw"]

_HEAD, _TAIL = 2**16, 2**10
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
"""JPEG markers from C0 to CF that do not begin a frame (DHT, JPG and DAC; ITU T.81, Table B.1)."""


def picture_hw(path: Path) -> tuple[int, int]:
    """Height and width of an image as it is stored, EXIF orientation aside.

    Raises ImageError if the file is missing, cut short or no image.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(-min(_TAIL, file.seek(0, os.SEEK_END)), os.SEEK_END)
            tail = file.read()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24 and b"IEND" in tail:
        return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")
    found = _jpeg_hw(head) if head.startswith(b"\xff\xd8\xff") and b"\xff\xd9" in tail else None
    return found if found and all(found) else read_image(path, exif=False).shape[:2]


def _jpeg_hw(head: bytes) -> tuple[int, int] | None:
    """Height and width in the first frame header of a JPEG file, None if it is not among these bytes."""
    place = 2
    while place + 9 <= len(head) and head[place] == 0xFF:
        marker = head[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            return int.from_bytes(head[place + 5 : place + 7], "big"), int.from_bytes(
                head[place + 7 : place + 9], "big"
            )
        fill = marker == 0xFF  # any number of them may stand before a marker
        place += 1 if fill else 2 + int.from_bytes(head[place + 2 : place + 4], "big")
    return None

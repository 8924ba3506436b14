"""Sizes of image files, told from their first bytes: many thousands a second."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lightpose.errors import ImageError
from lightpose.io.headers import image_header
from lightpose.io.images import read_image

__all__ = ["picture_hw"]

_HEAD, _TAIL = 2**16, 2**10
_END_MARKS = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}


def picture_hw(path: Path) -> tuple[int, int]:
    """Height and width of an image as it is stored, EXIF orientation aside.

    Raises ImageError if the file is missing, cut short or no image.
    """
    try:
        if stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for; that it is one, `read_image` says
            with path.open("rb") as file:
                head = file.read(_HEAD)
                file.seek(-min(_TAIL, file.seek(0, os.SEEK_END)), os.SEEK_END)
                tail = file.read()
            header = image_header(head)
            if header and header.pixels and header.kind in _END_MARKS and _END_MARKS[header.kind] in tail:
                return header.height, header.width
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    return read_image(path, exif=False).shape[:2]

"""Images in and out. The only file that knows that OpenCV's channels are BGR, and what EXIF orientation is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lightpose.errors import ImageError
from lightpose.types import ImageArray

__all__ = ["IMAGE_SUFFIXES", "decode_image", "encode_image", "read_image"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})

_END_MARKS = {b"\x89PNG\r\n\x1a\n": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}
"""First bytes of a format → the mark that a whole file of it ends with."""


def read_image(path: str | Path, exif: bool = True) -> ImageArray:
    """Read an image file of any usual kind as (H, W, 3) RGB uint8.

    Grey, palette, 16-bit and CMYK images become RGB; alpha is dropped.

    exif: turn the image upright as its EXIF orientation says; data sets such as COCO are labelled without.
    Raises ImageError if the file is missing, empty, cut short, or no image.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise ImageError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    return decode_image(content, str(path), exif)


def decode_image(content: bytes, name: str = "the image", exif: bool = True) -> ImageArray:
    """The same for an image file's bytes; `name` is what an error calls it."""
    if not content:
        raise ImageError(f"{name} is empty")
    for start, end in _END_MARKS.items():
        if content.startswith(start) and content.find(end, _image_data(content)) < 0:
            raise ImageError(f"{name} is cut short; copy or download it again")
    flags = cv2.IMREAD_COLOR_RGB | (0 if exif else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"{name} cannot be decoded: {error.err}") from error
    if image is None:
        raise ImageError(f"{name} is not an image that can be read (JPEG, PNG, WebP, TIFF, BMP and the like can)")
    return image  # type: ignore[return-value]


def _image_data(content: bytes) -> int:
    """Where a JPEG's compressed data starts, past headers whose thumbnail may hold an end mark; 0 for other formats."""
    if not content.startswith(b"\xff\xd8"):
        return 0
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        fill = content[place + 1] == 0xFF  # any number of them may stand before a marker
        place += 1 if fill else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return place


def encode_image(image: ImageArray, suffix: str = ".jpg") -> bytes:
    """An image file's bytes, in the format that the suffix names. Raises ImageError if it cannot be written so."""
    try:
        written, content = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise ImageError(f"cannot write images of the kind {suffix!r}; use .jpg or .png") from error
    if not written:
        raise ImageError(f"an image of {image.shape[1]}x{image.shape[0]} pixels does not fit {suffix!r}; use .png")
    return content.tobytes()

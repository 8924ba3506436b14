"""Images in and out. The only file that knows that OpenCV's channels are BGR, and what EXIF orientation is."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from lightpose.errors import ConfigError, ImageError, ImageMissingError, ImageTooLargeError
from lightpose.io.headers import Header, image_header, jpeg_segments, png_chunks
from lightpose.types import ImageArray

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "MAX_PIXELS_SETTING",
    "decode_image",
    "encode_image",
    "max_bytes",
    "max_pixels_allowed",
    "read_image",
    "read_regular",
]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})

MAX_PIXELS = 120_000_000
"""Images with more pixels are refused: photos of 108 megapixels are read, and decoding takes 2 GB at most."""
MAX_PIXELS_SETTING = "LIGHTPOSE_MAX_PIXELS"
"""The environment variable with another limit. It holds for all readers, and for the processes that they start."""
_BYTES_PER_PIXEL = 4
"""A file may have as many bytes for each pixel of the limit: those of an image that is not compressed."""
_MOST_SCANS = 50
"""Scans of a progressive JPEG; encoders write about ten. Each takes time for the whole image, even if it is empty."""
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND"})
"""The chunks of a PNG file that its pixels depend on."""


def read_image(path: str | Path, exif: bool = True, max_pixels: int | None = None) -> ImageArray:
    """Read an image file of any usual kind as (H, W, 3) RGB uint8.

    Grey, palette, 16-bit and CMYK images become RGB; alpha is dropped. Of several frames or pages, the first is read.

    exif: turn the image upright as its EXIF orientation says; data sets such as COCO are labelled without.
    max_pixels: an image with more is refused before it is decoded, and so is a file of four times as many bytes. If not
    given, the environment variable LIGHTPOSE_MAX_PIXELS, or 120 million.
    Raises ImageError if the file is missing, empty, cut short, too large, or no image. Damage in the middle of a JPEG
    is not told from content: its decoder fills what it cannot read with grey.
    """
    return decode_image(read_regular(path, max_bytes(max_pixels) + 1), str(path), exif, max_pixels)


def read_regular(path: str | Path, most: int) -> bytes:
    """The bytes of a regular file, links followed, and no more than `most`. Raises ImageError if it is no such file."""
    try:  # else the opening of a pipe would wait for who writes to it
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode):
                what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
                raise ImageError(f"cannot read {path}: it is {what}, not a file")
            with os.fdopen(opened, "rb", closefd=False) as file:
                return file.read(min(status.st_size or most, most))
        finally:
            os.close(opened)
    except MemoryError as error:
        raise ImageError(f"{path} needs more memory than there is") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageMissingError(f"cannot read {path}: {error.strerror}") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise ImageError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error


def max_bytes(max_pixels: int | None = None) -> int:
    """The bytes that an image file may have, for that limit of pixels or the one that holds."""
    return _BYTES_PER_PIXEL * max_pixels_allowed(max_pixels)


def decode_image(
    content: bytes, name: str = "the image", exif: bool = True, max_pixels: int | None = None
) -> ImageArray:
    """The same for an image file's bytes; `name` is what an error calls it."""
    header = _checked(content, name, max_pixels_allowed(max_pixels))
    if header.kind == "JPEG" and (header.orientation == 1 or not exif):
        with suppress(ValueError):  # damaged, or CMYK: OpenCV does what can be done
            decoded: ImageArray = simplejpeg.decode_jpeg(content, strict=True)  # the same pixels, in half the time
            return decoded
    flags = cv2.IMREAD_COLOR_RGB | (0 if exif else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(np.frombuffer(_bare_png(content) if header.kind == "PNG" else content, np.uint8), flags)
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is") from error
    except cv2.error as error:
        raise ImageError(f"{name} cannot be decoded: {error.err}") from error
    if image is None:
        raise ImageError(
            f"{name} cannot be decoded: its {header.kind} data are broken, or of a rare kind; save it as JPEG or PNG"
        )
    return image  # type: ignore[return-value]


def max_pixels_allowed(max_pixels: int | None = None) -> int:
    """The limit of pixels that holds: the one given, the environment's, or `MAX_PIXELS`.

    Raises ConfigError if it is no whole number above 0.
    """
    given = os.environ.get(MAX_PIXELS_SETTING, MAX_PIXELS) if max_pixels is None else max_pixels
    try:
        limit = int(given)
    except ValueError:
        limit = 0
    if limit < 1:
        raise ConfigError(f"the limit of an image's pixels must be a whole number above 0, not {given}")
    return limit


def _checked(content: bytes, name: str, limit: int) -> Header:
    """The header of an image file that may be decoded: whole as far as its marks tell, and within the limit."""
    if not content:
        raise ImageError(f"{name} is empty")
    raised = f"if it can be trusted, raise the limit: {MAX_PIXELS_SETTING}=NUMBER, or predict --max-pixels NUMBER"
    if len(content) > limit * _BYTES_PER_PIXEL:
        raise ImageTooLargeError(f"{name} has more than the {limit * _BYTES_PER_PIXEL:,} bytes that are read; {raised}")
    header = image_header(content)
    if header is None:
        raise ImageError(f"{name} is not an image that can be read (JPEG, PNG, WebP, TIFF, BMP and the like can)")
    if not header.decoded:
        raise ImageError(f"{name} cannot be read: it is a {header.kind} file; save it as JPEG or PNG")
    if not _is_whole(header.kind, content):
        raise ImageError(f"{name} is cut short; copy or download it again")
    if not header.pixels:
        raise ImageError(f"{name} cannot be decoded: its {header.kind} header is broken; copy or download it again")
    if header.kind == "JPEG" and content.count(b"\xff\xda", _scan(content)) >= _MOST_SCANS:
        raise ImageError(f"{name} has more than {_MOST_SCANS} scans, as no encoder writes; save it anew")
    if header.pixels > limit:
        plain = header.pixels == header.height * header.width
        size = f"has {header.width:,} x {header.height:,}" if plain else f"takes the memory of {header.pixels:,}"
        raise ImageTooLargeError(f"{name} {size} pixels, more than the {limit:,} that are decoded; {raised}")
    return header


def _is_whole(kind: str, content: bytes) -> bool:
    """Whether the end mark of a JPEG or PNG file is there."""
    if kind == "PNG":
        return [name for name, _, _ in png_chunks(content)][-1:] == [b"IEND"]
    if kind == "JPEG":
        start = _scan(content)  # thumbnails before it have end marks
        return start > 0 and content.find(b"\xff\xd9", start) > 0
    return True


def _scan(content: bytes) -> int:
    """Where the first scan of a JPEG file starts, behind its marker; 0 if there is none."""
    return next((place for marker, place in jpeg_segments(content) if marker == 0xDA), 0)


def _bare_png(content: bytes) -> bytes:
    """A PNG file with nothing but its pixels: texts and profiles may be bombs, and set off warnings."""
    kept = [(start, end) for kind, start, end in png_chunks(content) if kind in _PNG_CHUNKS]
    if sum(end - start for start, end in kept) + 8 == len(content):
        return content
    whole = memoryview(content)
    return b"".join((whole[:8], *(whole[start:end] for start, end in kept)))


def encode_image(image: ImageArray, suffix: str = ".jpg") -> bytes:
    """An image file's bytes, in the format that the suffix names. Raises ImageError if it cannot be written so."""
    try:
        written, content = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise ImageError(f"cannot write images of the kind {suffix!r}; use .jpg or .png") from error
    if not written:
        raise ImageError(f"an image of {image.shape[1]}x{image.shape[0]} pixels does not fit {suffix!r}; use .png")
    return content.tobytes()

"""What the first bytes of an image file say: its kind, its size, and how it is to be turned. Nothing is decoded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Header", "image_header", "image_kind", "jpeg_segments", "png_chunks"]

_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
"""JPEG markers from C0 to CF that do not begin a frame (DHT, JPG and DAC; ITU T.81, Table B.1)."""
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""JPEG markers that no length follows."""
_MOST_PARTS = 2**18
"""Segments, chunks or boxes of a file beyond which it is no image that anybody wrote."""


@dataclass(frozen=True)
class Header:
    """kind: what the first bytes say, such as JPEG. decoded: whether such images can be decoded.

    height, width: as stored, 0 where the bytes do not tell. pixels: those that a decoder takes memory for, the image's
    at least: a tile may be larger, and JPEG 2000 takes twice as much. orientation: of EXIF, 1 to 8, of a JPEG, PNG or
    TIFF file; 1 is upright.
    """

    kind: str
    decoded: bool = False
    height: int = 0
    width: int = 0
    pixels: int = 0
    orientation: int = 1


def image_header(content: bytes) -> Header | None:
    """The header of an image file; None if it is none.

    content: the file's bytes. The first 64 kB tell the size of most files.
    """
    kind = image_kind(content)
    if kind == "TIFF" and _is_raw(_tiff_tags(content)):
        kind = "camera raw"
    if kind is None or kind not in _SIZES:
        return None if kind is None else Header(kind)
    height, width, held = _SIZES[kind](content)
    return Header(kind, True, height, width, max(height * width, held), _orientation(kind, content))


def image_kind(head: bytes) -> str | None:
    """The kind of image that a file of these first bytes is, 64 of them or all; None if it is no image."""
    if head[4:8] == b"ftyp":
        brands = {head[place : place + 4] for place in (8, *range(16, min(_number(head, 0, 4), 64), 4))}
        return next((kind for kind, known in _BRANDS if known & brands), None)
    return next((kind for kind, pattern in _KINDS if pattern.match(head)), None)


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of each segment of a JPEG file, up to the first scan (0xDA); the place is behind the marker.

    As libjpeg does, what is no marker between two segments is passed over.
    """
    place = 2
    for _ in range(_MOST_PARTS):
        place = content.find(b"\xff", place)
        while 0 <= place < len(content) and content[place] == 0xFF:  # any number of them may stand before a marker
            place += 1
        if not 0 < place < len(content):
            return
        marker = content[place]
        place += 1
        if marker == 0xD9:
            return
        if marker and marker not in _ALONE:
            yield marker, place
            if marker == 0xDA:
                return
            place += max(2, _number(content, place, 2))


def png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk of a PNG file, lengths and checksums included; a whole file's last is IEND."""
    place, kind = 8, b""
    for _ in range(_MOST_PARTS):
        end = place + 12 + _number(content, place, 4)
        if kind == b"IEND" or place + 12 > len(content) or end > len(content):
            return
        kind = content[place + 4 : place + 8]
        yield kind, place, end
        place = end


Size = tuple[int, int, int]
"""Height and width, and the pixels that a decoder takes memory for, where they may be more."""


def _number(content: bytes, place: int, size: int, order: str = "big") -> int:
    """The whole number of so many bytes at a place; missing bytes are left out."""
    return int.from_bytes(content[place : place + size], "little" if order == "little" else "big")


def _png(content: bytes) -> Size:
    return _number(content, 20, 4), _number(content, 16, 4), 0


def _jpeg(content: bytes) -> Size:
    for marker, place in jpeg_segments(content):
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME and place + 7 <= len(content):
            return _number(content, place + 3, 2), _number(content, place + 5, 2), 0
    return 0, 0, 0


def _gif(content: bytes) -> Size:
    return _number(content, 8, 2, "little"), _number(content, 6, 2, "little"), 0


def _bmp(content: bytes) -> Size:
    if _number(content, 14, 4, "little") == 12:
        return _number(content, 20, 2, "little"), _number(content, 18, 2, "little"), 0
    height, width = (int.from_bytes(content[place : place + 4], "little", signed=True) for place in (22, 18))
    return abs(height), abs(width), 0


def _webp(content: bytes) -> Size:
    if content[12:16] == b"VP8X":
        return _number(content, 27, 3, "little") + 1, _number(content, 24, 3, "little") + 1, 0
    if content[12:16] == b"VP8L":
        bits = _number(content, 21, 4, "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1, 0
    return _number(content, 28, 2, "little") & 0x3FFF, _number(content, 26, 2, "little") & 0x3FFF, 0


def _tiff(content: bytes) -> Size:
    tags = _tiff_tags(content)
    height, width = tags.get(257, 0), tags.get(256, 0)
    tile = tags.get(322, 0) * tags.get(323, 0)
    strip = tags.get(278, 0)
    return height, width, tile or (width * strip if strip < 2**32 - 1 else 0)


def _tiff_tags(content: bytes) -> dict[int, int]:
    """Tag → first value of a TIFF file's first directory, or of an EXIF block's; whole numbers alone."""
    order = "little" if content[:2] == b"II" else "big"
    big = _number(content, 2, 2, order) == 43
    counted, entry, wide = (8, 20, 8) if big else (2, 12, 4)
    first = _number(content, 8 if big else 4, wide, order)
    found: dict[int, int] = {}
    for number in range(min(_number(content, first, counted, order), 2**16)):
        place = first + counted + number * entry
        if place + entry > len(content):
            break
        tag, kind = _number(content, place, 2, order), _number(content, place + 2, 2, order)
        size = {1: 1, 3: 2, 4: 4, 16: 8}.get(kind, 0)
        if size:
            found.setdefault(tag, _number(content, place + (12 if big else 8), size, order))
    return found


def _is_raw(tags: dict[int, int]) -> bool:
    """Whether a TIFF's first image is the small preview of a camera's raw file: DNGVersion, or NewSubfileType 1."""
    return 50706 in tags or tags.get(254, 0) & 1 == 1


def _avif(content: bytes) -> Size:
    """The largest size that the boxes name: the image's, whose tiles and previews are smaller."""
    sizes = [(0, 0, 0)]
    for kind, start, end in _boxes(content):
        if kind == b"meta":
            found = re.finditer(rb"ispe\0\0\0\0(....)(....)", content[start:end], re.DOTALL)
            sizes += [(int.from_bytes(each[2], "big"), int.from_bytes(each[1], "big"), 0) for each in found]
    return max(sizes, key=lambda size: size[0] * size[1])


def _jpeg2000(content: bytes) -> Size:
    start = next((start for kind, start, _ in _boxes(content) if kind == b"jp2c"), 0 if content[:1] == b"\xff" else -1)
    if start < 0 or content[start : start + 4] != b"\xff\x4f\xff\x51":
        return 0, 0, 0
    width, height, left, top = (_number(content, start + 8 + 4 * n, 4) for n in range(4))
    return max(height - top, 0), max(width - left, 0), 2 * width * height


def _boxes(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each box at the top of a file of JPEG 2000 or AVIF."""
    place = 0
    for _ in range(_MOST_PARTS):
        if place + 8 > len(content):
            return
        size, start = _number(content, place, 4), place + 8
        if size == 1:
            size, start = _number(content, place + 8, 8), place + 16
        end = place + size if size else len(content)
        yield content[place + 4 : place + 8], start, end
        place = max(end, start)


def _pnm(content: bytes) -> Size:
    found = re.match(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,10})(?:\s|#[^\n]*\n)+(\d{1,10})(?!\d)", content[:4096])
    return (int(found[2]), int(found[1]), 0) if found else (0, 0, 0)


def _pam(content: bytes) -> Size:
    found = [re.search(rb"\n%b\s+(\d{1,10})(?!\d)" % word, content[:4096]) for word in (b"HEIGHT", b"WIDTH", b"DEPTH")]
    height, width, depth = (int(each[1]) if each else 0 for each in found)
    return height, width, height * width * depth // 3


_SIZES: dict[str, Callable[[bytes], Size]] = {
    "JPEG": _jpeg, "PNG": _png, "WebP": _webp, "TIFF": _tiff, "BMP": _bmp, "GIF": _gif, "AVIF": _avif,
    "JPEG 2000": _jpeg2000, "PNM": _pnm, "PAM": _pam,
}  # fmt: skip
"""The kinds that can be decoded, and what tells their size."""

_BRANDS = (
    ("AVIF", {b"avif", b"avis"}),
    ("HEIC", {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}),
    ("camera raw", {b"crx "}),
)  # fmt: skip
"""Kinds by the brands of their ftyp box, the surest first."""

_KINDS = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (
        ("JPEG", rb"\xff\xd8\xff"),
        ("PNG", rb"\x89PNG\r\n\x1a\n"),
        ("WebP", rb"RIFF....WEBP"),
        ("GIF", rb"GIF8[79]a"),
        ("camera raw", rb"II\*\0....CR|IIRO|IIU\0|FUJIFILMCCD-RAW"),
        ("TIFF", rb"II[*+]\0|MM\0[*+]"),
        ("JPEG 2000", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
        ("BMP", rb"BM.{12}[\x0c\x24\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
        ("PNM", rb"P[1-6][\s#]"),
        ("PAM", rb"P7\n"),
        ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
        ("Photoshop", rb"8BPS\0"),
        ("OpenEXR", rb"v/1\x01"),
        ("Radiance HDR", rb"#\?R(?:ADIANCE|GBE)"),
        ("SVG", rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<svg"),
    )
)
"""Kinds by the first bytes of a file."""


def _orientation(kind: str | None, content: bytes) -> int:
    """How EXIF says that an image is to be turned, 1 to 8; 1 if it says nothing of the kind."""
    block = content if kind == "TIFF" else _exif(kind, content)
    found = _tiff_tags(block).get(0x0112, 1) if block[:2] in (b"II", b"MM") else 1
    return found if 1 <= found <= 8 else 1


def _exif(kind: str | None, content: bytes) -> bytes:
    """The EXIF block of a JPEG or PNG file; empty if there is none."""
    if kind == "JPEG":
        for marker, place in jpeg_segments(content):
            if marker == 0xE1 and content[place + 2 : place + 8] == b"Exif\0\0":
                return content[place + 8 : place + _number(content, place, 2)]
    if kind == "PNG":
        for name, start, end in png_chunks(content):
            if name == b"eXIf":
                return content[start + 8 : end - 4]
    return b""

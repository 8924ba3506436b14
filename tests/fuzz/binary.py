"""Damage to bytes: anywhere, or to the chunks, segments, tags and fields that a format is made of."""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from numpy.random import Generator

from tests.fuzz.trees import json_tree

Mutation = Callable[[bytes, Generator], bytes]
WORDS = (0, 1, 2, 3, 6, 8, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def word(rng: Generator, size: int, order: str) -> bytes:
    """A whole number that is often a border, in that many bytes."""
    return (WORDS[rng.integers(len(WORDS))] % 256**size).to_bytes(size, order)  # type: ignore[arg-type]


def anywhere(content: bytes, rng: Generator) -> bytes:
    """One to four places flipped, overwritten, put in, taken out, repeated or cut off."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data) + 1) if rng.random() < 0.5 else rng.integers(min(len(data), 128) + 1))
        end = at + int(rng.integers(1, 17))
        way = rng.integers(7)
        if way == 0 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif way == 1:
            data[at:end] = rng.bytes(end - at)
        elif way == 2:
            data[at:at] = rng.bytes(end - at)
        elif way == 3:
            del data[at:end]
        elif way == 4:
            data[at:at] = data[at : at + int(rng.integers(1, 500))]
        elif way == 5 and rng.random() < 0.3:
            del data[at:]
        else:
            size = int(rng.choice([1, 2, 4, 8]))
            data[at : at + size] = word(rng, size, str(rng.choice(["big", "little"])))
    return bytes(data)


def _shuffled(parts: list[Any], rng: Generator) -> list[Any]:
    """The parts with one left out, doubled or moved."""
    at, to, way = int(rng.integers(len(parts))), int(rng.integers(len(parts))), rng.integers(3)
    part = parts[at]
    rest = parts[:at] + parts[at + (way != 1) :]
    return rest if way == 0 else [*rest[:to], part, *rest[to:]]


def png_chunks(content: bytes, rng: Generator) -> bytes:
    """Chunks left out, doubled, moved, changed inside with a right checksum, or with a wrong length."""
    parts, at = [], 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        parts.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    if rng.random() < 0.3:
        parts = _shuffled(parts, rng)
    elif rng.random() < 0.3:
        kind = [b"acTL", b"tRNS", b"PLTE", b"eXIf", b"iCCP", b"zTXt", b"gAMA", b"tEXt", b"sBIT"][rng.integers(9)]
        parts.insert(int(rng.integers(1, len(parts) + 1)), (kind, rng.bytes(int(rng.integers(0, 60)))))
    which, wrong = int(rng.integers(len(parts))) if parts else 0, rng.random() < 0.3
    out = bytearray(content[:8])
    for number, (kind, data) in enumerate(parts):
        if number == which and data:
            if kind == b"IDAT" and rng.random() < 0.5:
                data = zlib.compress(anywhere(zlib.decompressobj().decompress(data), rng))
            else:
                place = int(rng.integers(len(data)))
                data = data[:place] + word(rng, 4 if kind == b"IHDR" and place < 8 else 1, "big") + data[place + 1 :]
        size = word(rng, 4, "big") if wrong and number == which else len(data).to_bytes(4, "big")
        out += size + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    return bytes(out)


def jpeg_segments(content: bytes, rng: Generator) -> bytes:
    """Segments left out, doubled, moved, changed, put in, or with a wrong length."""
    parts, at = [], 2
    while content[at] == 0xFF and content[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        parts.append(bytearray(content[at:end]))
        at = end
    way = rng.integers(4)
    if way == 0:
        parts = _shuffled(parts, rng)
    elif way == 1:
        tag = struct.pack(">HHIHH", 0x0112, int(rng.integers(14)), int(rng.integers(4)), int(rng.integers(300)), 0)
        exif = b"Exif\0\0MM\0*" + word(rng, 4, "big") * (rng.random() < 0.3) + b"\0\0\0\x08\0\x01" + tag + bytes(4)
        parts.insert(0, bytearray(b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif))
    else:
        part = parts[rng.integers(len(parts))]
        place = 2 if way == 2 else int(rng.integers(2, len(part)))
        part[place : place + 2] = word(rng, 2, "big")
    return content[:2] + b"".join(parts) + content[at:]


def tiff_tags(content: bytes, rng: Generator) -> bytes:
    """An entry of the first directory with another tag, kind, count or value."""
    data, order = bytearray(content), "little" if content[:2] == b"II" else "big"
    at = int.from_bytes(content[4:8], order)  # type: ignore[arg-type]
    count = int.from_bytes(content[at : at + 2], order)  # type: ignore[arg-type]
    for _ in range(int(rng.integers(1, 3))):
        entry = at + 2 + 12 * int(rng.integers(max(count, 1)))
        place, size = [(0, 2), (2, 2), (4, 4), (8, 4), (8, 2)][rng.integers(5)]
        data[entry + place : entry + place + size] = word(rng, size, order)
    return bytes(data)


def named_boxes(content: bytes, rng: Generator) -> bytes:
    """The length of a part that bears four letters as its name, as in WebP, AVIF and JPEG 2000, or what follows it."""
    found = [each.start() for each in re.finditer(rb"[A-Za-z][A-Za-z0-9 ]{3}", content[:4096])]
    data, at = bytearray(content), found[rng.integers(len(found))] if found else 0
    if content[:4] == b"RIFF":
        data[at + 4 : at + 8] = word(rng, 4, "little")
    else:
        place = max(at - 4, 0) if rng.random() < 0.6 else at + 4 + 4 * int(rng.integers(3))
        data[place : place + 4] = word(rng, 4, "big")
    return bytes(data) if rng.random() < 0.7 else anywhere(bytes(data), rng)


def header_words(content: bytes, rng: Generator) -> bytes:
    """Words of the first 64 bytes, where BMP and GIF have their sizes."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        size = int(rng.choice([1, 2, 4]))
        at = int(rng.integers(0, 64 // size)) * size
        data[at : at + size] = word(rng, size, "little")
    return bytes(data)


def pnm_tokens(content: bytes, rng: Generator) -> bytes:
    """A word of a PNM's head."""
    tokens = content.split(maxsplit=4)
    new = [b"-1", b"0", b"65536", b"99999999999", b"P9", b"P1", b"P4", b"P7", b"#", b"1e5", b"2147483647", b""]
    tokens[rng.integers(4)] = new[rng.integers(len(new))]
    return b"\n".join(tokens)


def xml_attributes(content: bytes, rng: Generator) -> bytes:
    """The value of one to three attributes or texts of an XML file, or an element left out."""
    for _ in range(int(rng.integers(1, 4))):
        found = [*re.finditer(rb'"[^"]*"|>[^<>\n]+<', content)]
        if found:
            one = found[rng.integers(len(found))]
            new = [
                b"",
                b"-1",
                b"0",
                b"99999999999999999999",
                b"nan",
                b"f32",
                b"&amp;",
                b"&x;",
                b"\xff",
                b"[1,2]",
                b"x" * 9999,
            ]
            value = new[rng.integers(len(new))]
            content = content[: one.start() + 1] + value + content[one.end() - 1 :]
    return re.sub(rb"<\w+ [^<>]*/>", b"", content, count=1) if rng.random() < 0.1 else content


def onnx_fields(content: bytes, rng: Generator) -> bytes:
    """One to three fields of an ONNX file set to something else, taken out or doubled; a JSON text as a tree."""
    import onnx

    model = onnx.load_model_from_string(content)
    for _ in range(int(rng.integers(1, 4))):
        found = [*_fields(model)]
        if found:
            _set(*found[rng.integers(len(found))], rng)
    return bytes(model.SerializeToString())


def _fields(message: Any) -> Iterator[tuple[Any, Any]]:
    for field, value in message.ListFields():
        yield message, field
        if field.type == field.TYPE_MESSAGE:
            for each in [value] if hasattr(value, "ListFields") else value:
                yield from _fields(each)


def _set(message: Any, field: Any, rng: Generator) -> None:
    values = getattr(message, field.name)
    many = hasattr(values, "append") or hasattr(values, "add")
    if rng.random() < 0.2:
        message.ClearField(field.name)
    elif many and rng.random() < 0.4:
        at = int(rng.integers(len(values)))
        values.extend([values[at]]) if rng.random() < 0.5 else values.__delitem__(at)
    elif field.type != field.TYPE_MESSAGE:
        at = int(rng.integers(len(values))) if many else None
        old = values if at is None else values[at]
        new = _other(old, field, rng)
        if at is None:
            setattr(message, field.name, new)
        else:
            values[at] = new


def _other(old: Any, field: Any, rng: Generator) -> Any:
    if isinstance(old, float):
        return float(rng.choice([0.0, -1.0, 1e30, float("nan"), float("inf")]))
    if isinstance(old, bool | int):
        limit = 31 if field.type in (field.TYPE_INT32, field.TYPE_ENUM) else 63
        return int(rng.choice([0, 1, -1, 2, 7, 9, 13, 17, 255, 2**20, 2**31 - 1, 2**limit - 1, -(2**limit)]))
    raw = old if isinstance(old, bytes) else old.encode()
    if raw[:1] in (b"{", b"["):
        raw = json_tree(raw, rng) if raw[1:2] in (b'"', b"}") else anywhere(raw, rng)
    else:
        raw = [anywhere(raw, rng), b"", b"\xff\xfe", b"Conv", b"x" * 1000, b"\x1b[31m"][rng.integers(6)]
    return raw if isinstance(old, bytes) else raw.decode(errors="replace")

"""Headers of image files made byte by byte: kind, size and orientation are told, and nothing is decoded."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightpose.io.headers import image_header, image_kind, jpeg_segments, png_chunks
from lightpose.io.images import decode_image, encode_image

BLACK = np.zeros((65, 97, 3), np.uint8)


def tiff(tags: dict[int, int], order: str = "<", big: bool = False) -> bytes:
    """A TIFF file's first directory, all values LONG, or LONG8."""
    start = (b"II" if order == "<" else b"MM") + struct.pack(
        order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8))
    )
    row = order + ("HHQQ" if big else "HHII")
    counted = struct.pack(order + ("Q" if big else "H"), len(tags))
    return (
        start
        + counted
        + b"".join(struct.pack(row, tag, 16 if big else 4, 1, value) for tag, value in tags.items())
        + bytes(8)
    )


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".jpg", "JPEG"), (".png", "PNG"), (".webp", "WebP"), (".bmp", "BMP"), (".tif", "TIFF"), (".ppm", "PNM"),
        (".jp2", "JPEG 2000"), (".gif", "GIF"), (".avif", "AVIF"), (".pam", "PAM"),
    ],
)  # fmt: skip
def test_the_header_of_each_kind_that_opencv_writes_has_the_size_that_it_decodes_to(suffix: str, kind: str):
    if not cv2.haveImageWriter(f"a{suffix}"):
        pytest.skip(f"this OpenCV writes no {suffix}")
    content = encode_image(BLACK, suffix)
    header = image_header(content)
    assert (header.kind, header.decoded, header.height, header.width) == (kind, True, 65, 97)
    assert decode_image(content).shape == BLACK.shape
    assert header.pixels == 65 * 97 * (2 if kind == "JPEG 2000" else 1)


@pytest.mark.parametrize("quality", [50, 101])
def test_lossy_and_lossless_webp_tell_their_size(quality: int):
    content = cv2.imencode(".webp", BLACK, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    assert content[12:16] == (b"VP8L" if quality > 100 else b"VP8 ")
    assert image_header(content).pixels == 65 * 97


def test_extended_webp_tells_its_canvas():
    content = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + bytes([20, 0, 0]) + bytes([0, 1, 0])
    assert (image_header(content).height, image_header(content).width) == (257, 21)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_tells_its_size_and_how_it_is_turned_and_the_memory_of_its_tiles(order: str, big: bool):
    header = image_header(tiff({256: 97, 257: 65, 274: 6}, order, big))
    assert (header.height, header.width, header.orientation) == (65, 97, 6)
    assert image_header(tiff({256: 97, 257: 65, 322: 5000, 323: 4000}, order, big)).pixels == 20_000_000
    assert image_header(tiff({256: 97, 257: 65, 278: 2**32 - 1}, order, big)).pixels == 65 * 97  # all in one strip


@pytest.mark.parametrize("tags", [{254: 1, 256: 160, 257: 120}, {256: 160, 257: 120, 50706: 1}])
def test_a_raw_files_preview_is_not_taken_for_its_image(tags: dict[int, int]):
    header = image_header(tiff(tags))
    assert (header.kind, header.decoded) == ("camera raw", False)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "camera raw"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", None),
        (b"<?xml version='1.0'?>\n<svg width='4'/>", "SVG"),
        (b"II*\0\x10\0\0\0CR\x02\0", "camera raw"),
        (b"v/1\x01\x02\0\0\0", "OpenEXR"),
        (b"#?RADIANCE\n", "Radiance HDR"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"\xff\x0a\xfa", "JPEG XL"),
        (b"%PDF-1.7", None),
        (b"BMI is 21", None),
        (b"", None),
    ],
)
def test_kinds_are_told_by_the_first_bytes(head: bytes, kind: str | None):
    assert image_kind(head) == kind
    header = image_header(head)
    assert (header and header.kind) == kind
    assert not (header and header.pixels)


def test_a_jpegs_orientation_is_told_and_what_is_between_its_segments_passed_over():
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    plain = encode_image(BLACK, ".jpg")
    turned = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + b"\0\0\xff\xff" + plain[2:]
    header = image_header(turned)
    assert (header.height, header.width, header.orientation) == (65, 97, 6)
    assert image_header(plain).orientation == 1
    assert [marker for marker, _ in jpeg_segments(turned)][-1] == 0xDA


def test_the_chunks_of_a_png_end_where_one_is_longer_than_the_file():
    whole = encode_image(BLACK, ".png")
    chunks = list(png_chunks(whole))
    assert chunks[0] == (b"IHDR", 8, 33)
    assert chunks[-1] == (b"IEND", len(whole) - 12, len(whole))
    place = whole.index(b"IDAT") - 4
    assert list(png_chunks(whole[:place] + b"\xff\xff\xff\x7f" + whole[place + 4 :]))[-1][2] == place


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".ppm", ".jp2", ".gif", ".avif", ".pam"])
def test_no_byte_that_is_cut_off_or_changed_raises(suffix: str):
    content = encode_image(BLACK, suffix) if cv2.haveImageWriter(f"a{suffix}") else b""
    generator = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(content[: generator.integers(len(content) + 1)])
        for place in generator.integers(0, max(1, min(len(broken), 200)), 4):
            broken[place : place + 1] = generator.bytes(1)
        header = image_header(bytes(broken))
        assert header is None or min(header.height, header.width, header.pixels) >= 0


def test_photos_tell_their_size():
    for path in (Path(__file__).parents[2] / "examples/photos").glob("*.[jp]*g"):
        header = image_header(path.read_bytes())
        assert (header.height, header.width) == decode_image(path.read_bytes(), exif=False).shape[:2]

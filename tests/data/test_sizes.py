"""Sizes from the first bytes are those of the decoded picture."""

import os
from pathlib import Path

import numpy as np
import pytest

from lightpose.data.sizes import picture_hw
from lightpose.errors import ImageError
from lightpose.io.images import encode_image, read_image

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize("size", [(1, 1), (37, 300), (300, 37)])
def test_the_size_of_any_kind_of_picture_is_told(tmp_path, suffix, size):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encode_image(np.zeros((*size, 3), np.uint8), suffix))
    assert picture_hw(path) == size


@pytest.mark.parametrize("name", ["astronaut.jpg", "grace_hopper.jpg", "photographer.png"])
def test_photos_have_the_size_that_they_are_read_with(name):
    assert picture_hw(PHOTOS / name) == read_image(PHOTOS / name, exif=False).shape[:2]


def exif(orientation: int) -> bytes:
    """An APP1 segment that says only how the picture is to be turned."""
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01" + bytes([0, orientation, 0, 0]) + b"\0\0\0\0"
    return b"\xff\xe1" + (8 + len(tiff)).to_bytes(2, "big") + b"Exif\0\0" + tiff


def test_exif_orientation_is_left_aside_as_in_training(tmp_path):
    jpeg = encode_image(np.zeros((20, 50, 3), np.uint8), ".jpg")
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + exif(6) + jpeg[2:])
    assert read_image(tmp_path / "a.jpg").shape == (50, 20, 3)
    assert picture_hw(tmp_path / "a.jpg") == (20, 50)


def test_headers_longer_than_what_is_read_at_first_are_no_obstacle(tmp_path):
    jpeg = encode_image(np.zeros((20, 50, 3), np.uint8), ".jpg")
    comment = b"\xff\xfe\xff\xff" + bytes(65533)
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + 2 * comment + jpeg[2:])
    assert picture_hw(tmp_path / "a.jpg") == (20, 50)


@pytest.mark.parametrize("name", ["astronaut.jpg", "photographer.png"])
@pytest.mark.parametrize("kept", [0, 1, 10, 1000, 0.5, 0.99])
def test_a_picture_that_is_cut_short_is_refused(tmp_path, name, kept):
    whole = (PHOTOS / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(ImageError, match=name):
        picture_hw(tmp_path / name)


def test_what_is_missing_or_no_picture_is_named(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    for name in ("a.jpg", "b.jpg"):
        with pytest.raises(ImageError, match=name):
            picture_hw(tmp_path / name)
    with pytest.raises(ImageError, match="cannot read"):
        picture_hw(tmp_path)


def test_what_is_no_regular_file_or_too_large_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.gif").write_bytes(b"GIF89a\xff\xff\xff\xff\0\0\0;")
    for name, reason in (("a.jpg", "pipe"), ("b.gif", "65,535 x 65,535 pixels"), ("c\0.jpg", "cannot read")):
        with pytest.raises(ImageError, match=reason):
            picture_hw(tmp_path / name)

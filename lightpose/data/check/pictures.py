"""Checks of the image files: whether they are there, whole, and of the size that the labels were made for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lightpose.data.check.faults import Fault, Finding
from lightpose.data.check.table import Table
from lightpose.data.sizes import picture_hw
from lightpose.errors import ImageError

__all__ = ["check_pictures"]

MISSING = Fault(
    "missing_picture", "error", "image", "The image is not in the folder",
    "Training and evaluation stop at the first of them", "Add the images, correct file_name, or name another folder.",
)  # fmt: skip
BROKEN = Fault(
    "broken_picture", "error", "image", "The image cannot be read or is cut short",
    "Training and evaluation stop at the first of them", "Copy or download the images again.",
)  # fmt: skip
TURNED = Fault(
    "turned_picture", "error", "image", "The image's height and width are exchanged",
    "It was labelled upright but is stored lying, with an EXIF mark that training ignores as COCO does: all labels are "
    "off", "Turn the images themselves and drop the mark, or turn the labels.",
)  # fmt: skip
OTHER_SIZE = Fault(
    "other_size", "error", "image", "The image has another size than the file says",
    "The labels were made for another size: boxes and keypoints lie beside the people",
    "Use the images that were labelled, or scale labels and sizes with them.",
)  # fmt: skip


def check_pictures(table: Table, images: Path) -> Iterator[Finding]:
    """Whether the images in that folder are there, can be read, and have the sizes that the file gives them."""
    names = [image.get("file_name") for image in table.images]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: _size(images / name) if isinstance(name, str) else None, names))
    ids = table.image_ids
    yield MISSING.at(ids, np.array([size == "missing" for size in found], dtype=bool))
    yield BROKEN.at(ids, np.array([size == "broken" for size in found], dtype=bool))
    real = np.array([size if isinstance(size, tuple) else (np.nan, np.nan) for size in found]).reshape(-1, 2)
    known = np.isfinite(real).all(1) & np.isfinite(table.image_hw).all(1)
    differs = known & (real != table.image_hw).any(1)
    turned = differs & (real == table.image_hw[:, ::-1]).all(1)
    yield TURNED.at(ids, turned)
    yield OTHER_SIZE.at(ids, differs & ~turned)


def _size(path: Path) -> tuple[int, int] | str:
    """Height and width of an image, or what is wrong with it."""
    try:
        return picture_hw(path)
    except ImageError:
        return "broken" if path.is_file() else "missing"

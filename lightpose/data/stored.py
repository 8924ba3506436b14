"""Image files held against what their labels say: their sizes, and EXIF marks that turn them.

Labels are of the pixels as they are stored, as in COCO. Where a file's size tells that they were made on the image
turned upright, it is read upright; where it is neither, the labels are of another image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightpose.data.sizes import picture_hw
from lightpose.errors import DataError, ImageError
from lightpose.io.coco.remarks import Name, Remark, Remarks
from lightpose.io.images import read_image
from lightpose.types import ImageArray

__all__ = ["Fitted", "fit_images", "orientation", "read_labelled"]

Stored = tuple[tuple[int, int], int] | str | None
"""Height and width of a file, and its EXIF orientation; or what is wrong with it; None if it was not looked at."""

_HEAD = 2**16
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")
_UPRIGHT = 1
_SIDEWAYS = range(5, 9)
_ORIENTATION = 0x0112
"""The tag of EXIF for how an image is to be turned: 1 is upright, 3 upside down, 5 to 8 lie on a side."""


@dataclass(frozen=True)
class Fitted:
    """images: rows with sizes and names of files that are there. missing, broken: ids of those that cannot be read."""

    images: list[Any]
    remarks: tuple[Remark, ...]
    missing: tuple[Name, ...]
    broken: tuple[Name, ...]


def fit_images(rows: Sequence[Any], folder: Path | None) -> Fitted:
    """Hold the rows of a document against the files in a folder; None, or no folder, for none to look at.

    A remark refuses the document if an image has another size than it says, or none. Files that cannot be read are
    passed over: who reads them says so.
    """
    remarks = Remarks()
    there = folder is not None and folder.is_dir()
    named = [_named(row, folder) if there and folder is not None else row for row in rows]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: _stored(row, folder), named)) if there else [None] * len(rows)
    images, lost = [], dict[str, list[Name]](missing=[], broken=[])
    upright = _tell_upright(named, found)
    for at, (row, stored) in enumerate(zip(named, found, strict=True)):
        name: Name = row["id"] if isinstance(row, dict) and isinstance(row.get("id"), int | str) else f"number {at}"
        if isinstance(stored, str):
            lost[stored].append(name)
        images.append(_fit(row, stored, upright[at], name, remarks))
    return Fitted(images, _worded(remarks), tuple(lost["missing"]), tuple(lost["broken"]))


def read_labelled(path: Path, image_hw: tuple[int, int], upright: bool = False) -> ImageArray:
    """The pixels that labels of an image of that size are of. upright: whether they are of it turned as EXIF says.

    Raises DataError if the file has another size.
    """
    image = read_image(path, exif=upright)
    if image.shape[:2] == image_hw:
        return image
    raise DataError(
        f"{path} has {_size(image.shape[:2])} pixels, but its labels are of an image of {_size(image_hw)}: boxes and "
        "keypoints would lie beside the people"
    )


def orientation(path: Path) -> int:
    """EXIF orientation of a JPEG or PNG file, 1 to 8; 1 if it has none, or is another file."""
    try:
        with path.open("rb") as file:
            block = _exif(file.read(_HEAD))
    except OSError:
        return _UPRIGHT
    order = {b"II": "little", b"MM": "big"}.get(block[:2])
    if order is None:
        return _UPRIGHT

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[at : at + size], "little" if order == "little" else "big")

    first = number(4, 4)
    for entry in range(first + 2, min(first + 2 + 12 * number(first, 2), len(block) - 11), 12):
        if number(entry, 2) == _ORIENTATION:
            found = number(entry + 8, 2)
            return found if 1 <= found <= 8 else _UPRIGHT
    return _UPRIGHT


def _exif(head: bytes) -> bytes:
    """The EXIF block of a file that begins so, without its mark; empty if there is none."""
    if head.startswith(b"\x89PNG"):
        place = head.find(b"eXIf")
        return head[place + 4 :] if place > 0 else b""
    place = 2
    while head.startswith(b"\xff\xd8") and place + 10 <= len(head) and head[place] == 0xFF and head[place + 1] != 0xDA:
        if head[place + 1] == 0xE1 and head[place + 4 : place + 10] == b"Exif\0\0":
            return head[place + 10 :]
        place += 1 if head[place + 1] == 0xFF else 2 + int.from_bytes(head[place + 2 : place + 4], "big")
    return b""


def _named(row: Any, folder: Path) -> Any:
    """A row whose path is of another machine by the name of the file alone, if that is in the folder."""
    name = row.get("file_name") if isinstance(row, dict) else None
    if not isinstance(name, str) or not _ABSOLUTE.match(name) or Path(name).is_file():
        return row
    last = name.rsplit("/", 1)[-1]
    return {**row, "file_name": last} if (folder / last).is_file() else row


def _stored(row: Any, folder: Path | None) -> Stored:
    """What a row's file is."""
    name = row.get("file_name") if isinstance(row, dict) else None
    if folder is None or not isinstance(name, str):
        return None
    path = folder / name
    try:
        return picture_hw(path), orientation(path)
    except (ImageError, ValueError):
        return "broken" if path.is_file() else "missing"


def _tell_upright(rows: Sequence[Any], found: Sequence[Stored]) -> list[bool]:
    """For each image whether it was labelled turned as EXIF says.

    An image that lies on its side tells by its size. The others of a file (upside down, or square) were labelled as
    those that tell, if all of these agree, and else as stored.
    """
    told: list[bool | None] = [_told(row, stored) for row, stored in zip(rows, found, strict=True)]
    turned = [isinstance(stored, tuple) and stored[1] != _UPRIGHT for stored in found]
    others = True in told and False not in told
    return [marked and (others if one is None else one) for marked, one in zip(turned, told, strict=True)]


def _told(row: Any, stored: Stored) -> bool | None:
    """Whether an image was labelled turned as EXIF says, None if its size does not tell."""
    if not isinstance(row, dict) or not isinstance(stored, tuple) or stored[1] not in _SIDEWAYS:
        return None
    hw = (row.get("height"), row.get("width"))
    if hw[0] == hw[1] or hw not in (stored[0], stored[0][::-1]):
        return None
    return hw != stored[0]


def _fit(row: Any, stored: Stored, upright: bool, name: Name, remarks: Remarks) -> Any:
    """The row, with the size of its file if it has none; remarks on what does not fit."""
    if not isinstance(row, dict) or "height" not in row:
        return row
    shown, hw = f"image {name} ({row.get('file_name')})", (row["height"], row["width"])
    row = {**row, "upright": True} if upright else {key: value for key, value in row.items() if key != "upright"}
    if not isinstance(stored, tuple):
        if None in hw:
            text = f"{shown} has no height and width, and its file is not at hand; write them"
            remarks.refuse("no_size_at_all", name, text)
        return row
    file_hw = stored[0][::-1] if upright and stored[1] in _SIDEWAYS else stored[0]
    if None in hw:
        row, hw = {**row, "height": file_hw[0], "width": file_hw[1]}, file_hw
    if stored[1] != _UPRIGHT:
        remarks.whole("upright" if upright else "orientation", [name], f"{row.get('file_name')}: {stored[1]}")
    if file_hw != hw and all(isinstance(side, int) for side in hw):
        sizes = f"{shown} is {_size(file_hw)}, but the labels say {_size(hw)}"
        if file_hw == hw[::-1]:
            text = (
                f"{sizes}: height and width are exchanged; exchange them in the labels, or use the images as labelled"
            )
            remarks.refuse("turned_picture", name, text)
        else:
            text = f"{sizes}; use the images that were labelled, or scale boxes, keypoints and sizes with them"
            remarks.refuse("other_size", name, text)
    return row


def _worded(remarks: Remarks) -> tuple[Remark, ...]:
    """The remarks with their sentences whole."""
    tails = {
        "orientation": "images carry an EXIF orientation ({0}); labels are taken to be of the pixels as stored, as in "
        "COCO. If they lie beside the people, turn the files and drop the mark: mogrify -auto-orient",
        "upright": "images carry an EXIF orientation ({0}) and were labelled turned upright, as sizes tell; they are "
        "read so",
    }
    return tuple(
        Remark(each.code, each.refused, f"{len(each.names)} {tails[each.code].format(each.text)}", each.names)
        if each.code in tails
        else each
        for each in remarks.done()
    )


def _size(image_hw: Sequence[int]) -> str:
    return f"{image_hw[1]}x{image_hw[0]}"

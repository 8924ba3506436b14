"""Person boxes from a json file: COCO detection results, or a COCO annotation file."""

from __future__ import annotations

from collections import defaultdict
from itertools import takewhile
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np

from lightpose.errors import BoxesError
from lightpose.io.files import read_json
from lightpose.results import Boxes, number_in_name
from lightpose.types import ImageArray

__all__ = ["BoxFile", "read_boxes"]

PERSON = 1
"""The category of people in COCO; rows of others are passed over."""
_LARGEST = float(np.finfo(np.float32).max)


class BoxFile:
    """Boxes of many images, found by an image's path.

    A row belongs to an image if its `file_name` is the image's, or if its `image_id` is the image's name without
    the suffix, as text or as a number (397133 for 000000397133.jpg). Folders only tell images of one name apart:
    `val2017/1.jpg` is a 1.jpg in any folder as long as the file has no other.
    """

    name = "given"
    given = True
    threshold = None
    min_person_score = 0.0

    def __init__(
        self, rows: dict[str | int, list[dict[str, Any]]], ids: dict[str, int], path: Path | None = None
    ) -> None:
        self._rows, self._ids, self.path = rows, ids, path
        self._alike: dict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys([*ids, *(key for key in rows if isinstance(key, str))]):
            self._alike[PurePath(name).name].append(name)

    def __call__(self, image: ImageArray, path: Path | None = None) -> Boxes:  # noqa: ARG002 - it goes by the path
        """As a `Detector`: the boxes of the image at that path. Raises BoxesError if none is given."""
        if path is None:
            raise BoxesError("a file of boxes goes by the names of images; give an image's file, or its boxes")
        return self.boxes(path.absolute())

    def image_id(self, picture: str | PurePath) -> int | None:
        """The number that the file gives an image, or the number that the image's name is, or None."""
        name = self._name(picture)
        return self._ids[name] if name in self._ids else number_in_name(PurePath(picture))

    def boxes(self, picture: str | PurePath) -> Boxes:
        """Boxes of an image in the file's order; none if the file does not name it, or several that it may be."""
        keys: list[str | int | None] = [self._name(picture), PurePath(picture).stem, self.image_id(picture)]
        rows = next((self._rows[key] for key in keys if key in self._rows), [])
        return Boxes(
            np.array([row["bbox"] for row in rows], np.float32),
            np.array([row.get("score", 1) for row in rows], np.float32),
        )

    def _name(self, picture: str | PurePath) -> str:
        """What the file calls an image: of several of its name the one that shares most of its folders."""
        path = PurePath(_plain_name(str(picture)))
        alike = self._alike.get(path.name, [])
        parts = [PurePath(name).parts for name in alike]
        shared = [_common(path.parts[::-1], each[::-1]) for each in parts]
        best = [n for n in range(len(alike)) if shared[n] == max(shared)]
        best = [n for n in best if shared[n] == len(parts[n])] or best
        return alike[best[0]] if len(best) == 1 else path.name


def read_boxes(path: str | Path) -> BoxFile:
    """Read a json file of boxes: a list of rows with `bbox` [left, top, width, height], `image_id` or `file_name`, and
    if they like `score` and `category_id`; or a COCO annotation file.

    Raises BoxesError if the file is missing, is no json, or a row is malformed or not finite.
    """
    document = read_json(path, BoxesError)
    names: dict[str | int, str] | None = None
    if isinstance(document, dict) and isinstance(document.get("annotations"), list):
        names, document = _picture_names(path, document), document["annotations"]
    if not isinstance(document, list):
        raise BoxesError(f"{path} must hold a list of detections, or a COCO object with `annotations`")
    rows: dict[str | int, list[dict[str, Any]]] = defaultdict(list)
    for number, row in enumerate(document):
        _check_row(path, number, row)
        if row.get("category_id", PERSON) == PERSON and not row.get("iscrowd"):
            rows[_key(row, names)].append(row)
    if names is None:
        return BoxFile(dict(rows), {}, Path(path))
    if dangling := set(rows) - set(names.values()):
        raise BoxesError(f"{path}: annotations belong to image {min(dangling, key=str)}, which is not in the file")
    return BoxFile(dict(rows), _numbers(names), Path(path))


def _numbers(names: dict[str | int, str]) -> dict[str, int]:
    """The images' numbers by their names, of those that are numbered."""
    return {name: number for number, name in names.items() if isinstance(number, int)}


def _picture_names(path: str | Path, document: dict[str, Any]) -> dict[str | int, str]:
    """File names of a COCO annotation file's images, by id."""
    pictures = document.get("images")
    if not isinstance(pictures, list) or not all(
        isinstance(p, dict) and isinstance(p.get("file_name"), str) and isinstance(p.get("id"), int | str)
        for p in pictures
    ):
        raise BoxesError(f"{path}: every image must have an id and a file_name")
    return {picture["id"]: _plain_name(picture["file_name"]) for picture in pictures}


def _key(row: dict[str, Any], names: dict[str | int, str] | None) -> str | int:
    if "file_name" in row:
        return _plain_name(row["file_name"])
    number: str | int = row["image_id"]
    return number if names is None else names.get(number, number)


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many parts two paths begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _plain_name(file_name: str) -> str:
    """A path that may have been written on Windows, or as ./a/b.jpg, as a/b.jpg."""
    return str(PurePosixPath(file_name.replace("\\", "/")))


def _check_row(path: str | Path, number: int, row: Any) -> None:
    where = f"{path}: row {number}"
    if not isinstance(row, dict) or "bbox" not in row or not ("image_id" in row or "file_name" in row):
        raise BoxesError(f"{where} must be an object with a bbox and an image_id or file_name")
    if not isinstance(row.get("image_id", 0), int | str):
        raise BoxesError(f"{where}: image_id must be a number or a name")
    if not isinstance(row.get("file_name", ""), str):
        raise BoxesError(f"{where}: file_name must be text")
    values = [*row["bbox"], row.get("score", 1)] if isinstance(row["bbox"], list) else []
    if len(values) != 5 or not all(type(value) in (int, float) for value in values):
        raise BoxesError(f"{where}: bbox must be [left, top, width, height] and score a number")
    if not all(abs(value) <= _LARGEST for value in values):
        raise BoxesError(f"{where}: bbox or score is NaN or infinite; leave such boxes out")

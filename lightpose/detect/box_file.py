"""Person boxes from a json file: COCO detection results, or a COCO annotation file."""

from __future__ import annotations

from collections import defaultdict
from itertools import takewhile
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np

from lightpose.errors import BoxesError
from lightpose.io.coco import Detection, number, people_of, read_annotations, read_detection_rows, tell
from lightpose.io.files import read_json
from lightpose.results import Boxes, number_in_name
from lightpose.types import ImageArray

__all__ = ["BoxFile", "read_boxes"]


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
        self,
        rows: dict[str | int, list[Detection]],
        ids: dict[str, int],
        path: Path | None = None,
        sizes: dict[str, tuple[float | None, float | None]] | None = None,
    ) -> None:
        self._rows, self._ids, self.path = rows, ids, path
        self._sizes, self._odd = sizes or {}, False
        self._alike: dict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys([*ids, *(key for key in rows if isinstance(key, str))]):
            self._alike[PurePath(name).name].append(name)

    def __call__(self, image: ImageArray, path: Path | None = None) -> Boxes:
        """As a `Detector`: the boxes of the image at that path. Raises BoxesError if none is given."""
        if path is None:
            raise BoxesError("a file of boxes goes by the names of images; give an image's file, or its boxes")
        self._compare(image, path)
        return self.boxes(path.absolute())

    def _compare(self, image: ImageArray, path: Path) -> None:
        """Say it once if an image has another size than the file says."""
        found, given = image.shape[:2], self._sizes.get(self._name(path.absolute()), (None, None))
        if self._odd or None in given or found == given:
            return
        self._odd = True
        sizes = f"{found[1]}x{found[0]}, but the file says {given[1]}x{given[0]}"
        tell(self.path or path, [f"{path} is {sizes}; if the boxes lie beside the people, they are of another image"])

    def image_id(self, picture: str | PurePath) -> int | None:
        """The number that the file gives an image, or the number that the image's name is, or None."""
        name = self._name(picture)
        return self._ids[name] if name in self._ids else number_in_name(PurePath(picture))

    def boxes(self, picture: str | PurePath) -> Boxes:
        """Boxes of an image in the file's order; none if the file does not name it, or several that it may be."""
        number = self.image_id(picture)
        keys: list[str | int | None] = [self._name(picture), PurePath(picture).stem, number, str(number)]
        rows = next((self._rows[key] for key in keys if key in self._rows), [])
        return Boxes(
            np.array([row.box_xywh for row in rows], np.float32),
            np.array([1 if row.score is None else row.score for row in rows], np.float32),
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
    if they like `score` and `category_id`; or a COCO annotation file, whose people are those of `read_people`.

    In a list people are category 1, or 0 if all are. Raises BoxesError if the file is missing, is no json, or a row is
    malformed or not finite, or if it cannot be told who is people.
    """
    path = Path(path)
    document = read_json(path, BoxesError)
    if isinstance(document, dict) and isinstance(document.get("annotations"), list):
        return _annotated(path, document)
    if not isinstance(document, list):
        raise BoxesError(f"{path} must hold a list of detections, or a COCO object with `annotations`")
    people, note = people_of(path, read_detection_rows(path, document))
    tell(path, [note] if note else [])
    rows: dict[str | int, list[Detection]] = defaultdict(list)
    for row in people:
        if not row.crowd:
            number = int(row.image_id) if isinstance(row.image_id, float) else row.image_id
            rows[number if row.file_name is None else row.file_name].append(row)
    return BoxFile(dict(rows), {}, path)


def _annotated(path: Path, document: dict[str, Any]) -> BoxFile:
    """The people of a COCO annotation file."""
    reading = read_annotations(document, "boxes")
    if (refusal := reading.refusal(path)) or reading.people is None:
        raise BoxesError(refusal or f"{path} has no people")
    tell(path, reading.notes)
    category = reading.people.number
    people = [row for row in reading.document["annotations"] if row.get("category_id") == category]
    names = {image["id"]: image["file_name"] for image in reading.document["images"]}
    rows: dict[str | int, list[Detection]] = defaultdict(list)
    for row, found in zip(people, read_detection_rows(path, people), strict=True):
        if not found.crowd:
            rows[names[row["image_id"]] if found.file_name is None else found.file_name].append(found)
    ids = {names[inside]: own for inside, own in reading.own_ids.items() if isinstance(own, int)}
    images = reading.document["images"]
    sizes = {image["file_name"]: (number(image.get("height")), number(image.get("width"))) for image in images}
    return BoxFile(dict(rows), ids, path, sizes)


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many parts two paths begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _plain_name(file_name: str) -> str:
    """A path that may have been written on Windows, or as ./a/b.jpg, as a/b.jpg."""
    return str(PurePosixPath(file_name.replace("\\", "/")))

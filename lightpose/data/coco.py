"""COCO keypoint files: reading them, checking their shape, and the persons in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.errors import DataError
from lightpose.io.files import read_json
from lightpose.ops.geometry import clip_boxes
from lightpose.skeletons import Skeleton, from_category
from lightpose.types import Person

__all__ = ["CocoFile", "check_annotations", "read_coco", "read_document"]


@dataclass(frozen=True)
class CocoFile:
    """A COCO keypoint file whose ids and shapes have been checked.

    document: the json as it is. skeleton: the joints of its person category. images: the folder of its images.
    """

    path: Path
    images: Path
    document: dict[str, Any]
    skeleton: Skeleton

    def persons(self) -> list[Person]:
        """Everybody with a labelled joint and a box of some area; no crowds; boxes clipped as in COCO's protocol."""
        return [person for person in self.boxed() if person.visibility.any()]

    def boxed(self) -> list[Person]:
        """`persons`, and those without a labelled joint."""
        pictures = {image["id"]: image for image in self.document["images"]}
        category = self.category_id
        rows = [
            row for row in self.document["annotations"] if row["category_id"] == category and not row.get("iscrowd", 0)
        ]
        found = [self._person(row, pictures[row["image_id"]]) for row in rows]
        return [person for person in found if (person.box_xywh[2:] > 0).all()]

    @property
    def category_id(self) -> int:
        return int(_keypoint_category(self.path, self.document)["id"])

    def _person(self, row: dict[str, Any], picture: dict[str, Any]) -> Person:
        triples = np.asarray(row["keypoints"], dtype=np.float32).reshape(-1, 3)
        size = (int(picture["height"]), int(picture["width"]))
        box = clip_boxes(row["bbox"], size)[0]
        return Person(
            image_path=self.images / picture["file_name"],
            image_id=int(picture["id"]),
            annotation_id=int(row["id"]),
            image_hw=size,
            box_xywh=box,
            keypoints=triples[:, :2],
            visibility=triples[:, 2].astype(np.int8),
            area=float(row.get("area", box[2] * box[3])),
        )


def read_coco(path: str | Path, images: str | Path) -> CocoFile:
    """Read a COCO keypoint file and check it.

    images: the folder that its `file_name`s are in. Raises DataError if a key is missing, an id dangles or repeats,
    or a row has the wrong number of keypoints.
    """
    path = Path(path)
    document = read_document(path)
    category = _keypoint_category(path, document)
    if type(category["id"]) is not int:
        raise DataError(f"{path}: the category id {category['id']!r} is not a whole number")
    skeleton = from_category(category)
    check_annotations(path, document, category["id"], len(skeleton))
    return CocoFile(path, Path(images), document, skeleton)


def read_document(path: Path) -> dict[str, Any]:
    """A COCO annotation file's content, its lists, keys, ids and image sizes checked."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise DataError(f"{path} is not a COCO annotation file: its top level is not an object")
    for key in ("images", "annotations", "categories"):
        if not isinstance(document.get(key), list):
            raise DataError(f"{path} is not a COCO annotation file: it has no list called {key!r}")
    _require(path, "image", document["images"], ("id", "file_name", "height", "width"))
    _require(path, "annotation", document["annotations"], ("id", "image_id", "category_id", "bbox"))
    _require(path, "category", document["categories"], ("id",))
    for kind in ("image", "annotation"):
        _check_ids(path, kind, document[f"{kind}s"])
    for image in document["images"]:
        if not isinstance(image["file_name"], str):
            raise DataError(f"{path}: image {image['id']} has the file_name {image['file_name']!r}, which is no text")
        if not (_numbers([image["height"], image["width"]], 2) and min(image["height"], image["width"]) > 0):
            raise DataError(f"{path}: image {image['id']} must have a height and width above 0")
    return document


def _keypoint_category(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The first category that names keypoints."""
    for category in document["categories"]:
        if category.get("keypoints"):
            found: dict[str, Any] = category
            return found
    raise DataError(f"{path} has no category with a list of `keypoints` names, so its joints have no names")


def _require(path: Path, kind: str, rows: Sequence[Any], keys: tuple[str, ...]) -> None:
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{path}: {kind} number {number} is not an object")
        for key in keys:
            if key not in row:
                raise DataError(f"{path}: {kind} number {number} has no {key!r}")


def _check_ids(path: Path, kind: str, rows: Sequence[dict[str, Any]]) -> None:
    seen = set()
    for number, row in enumerate(rows):
        if type(row["id"]) is not int:
            raise DataError(f"{path}: {kind} number {number} has the id {row['id']!r}, which is not a whole number")
        if row["id"] in seen:
            raise DataError(f"{path}: two {kind}s have the id {row['id']}")
        seen.add(row["id"])


def check_annotations(
    path: Path, document: dict[str, Any], keypoint_category: int | None = None, joints: int = 0
) -> None:
    """keypoint_category: whose rows must have keypoints, those of that many joints; None for nobody's."""
    pictures = {image["id"] for image in document["images"]}
    categories = [category["id"] for category in document["categories"]]
    for row in document["annotations"]:
        where = f"{path}: annotation {row['id']}"
        if type(row["image_id"]) is not int or row["image_id"] not in pictures:
            raise DataError(f"{where} belongs to image {row['image_id']}, which is not in the file")
        if row["category_id"] not in categories:
            raise DataError(f"{where} has category {row['category_id']}, which is not in the file")
        if not _numbers(row["bbox"], 4):
            raise DataError(f"{where} must have a bbox of four finite numbers (left, top, width, height)")
        if not _numbers([row.get("area", 0)], 1):
            raise DataError(f"{where} has an area that is not a finite number")
        if row["category_id"] == keypoint_category and not _numbers(row.get("keypoints"), 3 * joints):
            raise DataError(f"{where} must have {joints} keypoints of three finite numbers (x, y, visibility)")


def _numbers(values: Any, count: int) -> bool:
    """Whether values is a list of that many finite numbers."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return False
    return array.shape == (count,) and bool(np.isfinite(array).all())

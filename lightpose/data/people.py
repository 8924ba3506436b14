"""Boxes of everybody in an image, as a detector learns them: reading COCO files, keypoints or not."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lightpose.data.coco import read_document
from lightpose.data.labels import read_labels
from lightpose.errors import DataError
from lightpose.io.coco import tell
from lightpose.ops.boxes import to_xyxy
from lightpose.types import FloatArray

__all__ = ["PeopleFile", "Scene", "read_people"]


@dataclass(frozen=True, eq=False)
class Scene:
    """One image and the people in it. image_hw: as the file has it.

    boxes_xyxy: (N, 4) float32, left, top, right, bottom in pixels of the image, within it. ignored_xyxy: (M, 4),
    regions where there may be more people: crowds. upright: whether the labels are of the image turned as its EXIF
    orientation says.
    """

    image_path: Path
    image_id: int
    image_hw: tuple[int, int]
    boxes_xyxy: FloatArray
    ignored_xyxy: FloatArray
    upright: bool = False


@dataclass(frozen=True)
class PeopleFile:
    """A COCO annotation file as `lightpose.io.coco` reads it. category_id: that of people in `document`.

    notes: what was read how, and what is left out, a line each.
    """

    path: Path
    images: Path
    document: dict[str, Any]
    category_id: int
    notes: tuple[str, ...] = ()

    def scenes(self) -> list[Scene]:
        """All images, those without people as well; boxes without an area are left out."""
        people: dict[int, list[Any]] = defaultdict(list)
        crowds: dict[int, list[Any]] = defaultdict(list)
        for row in self.rows():
            (crowds if row.get("iscrowd") else people)[row["image_id"]].append(row["bbox"])
        return [
            Scene(
                self.images / picture["file_name"],
                int(picture["id"]),
                (hw := (int(picture["height"]), int(picture["width"]))),
                _corners(people[picture["id"]], hw),
                _corners(crowds[picture["id"]], hw),
                bool(picture.get("upright")),
            )
            for picture in self.document["images"]
        ]

    def rows(self) -> list[dict[str, Any]]:
        """The annotations of people, as the file has them."""
        return [row for row in self.document["annotations"] if row["category_id"] == self.category_id]


def read_people(path: str | Path, images: str | Path) -> PeopleFile:
    """Read a COCO file of boxes, instances or keypoints, or labels of another tool; see `read_labels`.

    images: the folder that its `file_name`s are in. People are the category with keypoints, or the one called
    `person`, or the only one. Raises DataError as `read_coco` does.
    """
    path, images = Path(path), Path(images)
    written, notes = read_labels(path, images)
    reading = read_document(written, images, "people")
    if (refusal := reading.refusal(path)) or reading.people is None:
        raise DataError(refusal or f"{path} has no people")
    return PeopleFile(path, images, reading.document, reading.people.number, tell(path, [*notes, *reading.notes]))


def _corners(boxes_xywh: ArrayLike, image_hw: tuple[int, int]) -> FloatArray:
    """Boxes as corners, clipped to the image's edges; without those that have no area there."""
    boxes = np.asarray(boxes_xywh, np.float64).reshape(-1, 4)
    limit = np.array([*image_hw[::-1], *image_hw[::-1]], np.float64)
    corners = np.clip(to_xyxy(boxes), 0, limit)
    inside: FloatArray = corners[(corners[:, 2:] > corners[:, :2]).all(1)].astype(np.float32)
    return inside

"""A detector's person boxes for the images of a data set, and data sets that have images but no labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile, understood
from lightpose.data.labels import read_labels
from lightpose.data.people import PeopleFile
from lightpose.data.stored import read_labelled
from lightpose.detect import BoxFunction, Detector, as_detector
from lightpose.errors import BoxesError, DataError
from lightpose.io.coco import key, read_detection_rows
from lightpose.io.files import read_json
from lightpose.results import Boxes
from lightpose.skeletons import COCO17

__all__ = ["Detections", "detect_people", "find_people", "open_source", "read_detections"]


@dataclass(frozen=True, eq=False)
class Detections:
    """A detector's boxes.

    made_by, threshold: the file they were read from or the detector's name, and the least score. boxes: by image id, in
    their order. unusable, elsewhere: how many were left out, without area or outside their image, and in images
    that the set has not.
    """

    made_by: Path | str
    threshold: float | None
    boxes: dict[int, Boxes]
    unusable: int
    elsewhere: int

    def __len__(self) -> int:
        return sum(len(boxes) for boxes in self.boxes.values())

    def summary(self) -> dict[str, Any]:
        """What there is to say of them beside a figure."""
        return {
            "boxes": str(self.made_by),
            "box_threshold": self.threshold,
            "detections": len(self),
            "pictures_with_boxes": len(self.boxes),
            "boxes_unusable": self.unusable,
            "boxes_elsewhere": self.elsewhere,
        }


def read_detections(path: str | Path, source: CocoFile, threshold: float | None = None) -> Detections:
    """Read COCO detection results: a list of `image_id`, `category_id`, `bbox` [left, top, width, height], `score`.

    Rows of categories other than the data set's people, and those that score below the threshold, are passed over.
    Boxes are not clipped (SimpleBaseline clips given ones alone). Raises BoxesError if the file is missing, is no such
    list, a row is malformed, or no box belongs to an image of the data set.
    """
    pictures = {image["id"]: (image["height"], image["width"]) for image in source.document["images"]}
    category = key(source.own_category)
    found: dict[int, list[list[float]]] = defaultdict(list)
    elsewhere = 0
    for number, row in enumerate(read_detection_rows(path, _read_rows(Path(path)))):
        if row.score is None or row.image_id is None:
            raise BoxesError(f"{path}: row {number} must have an image_id and a score")
        if row.category in (None, category) and (threshold is None or row.score >= threshold):
            image_id = source.image_id(row.image_id)
            if image_id is None:
                elsewhere += 1
            else:
                found[image_id].append([*row.box_xywh, row.score])
    boxes = {image_id: _usable(np.array(rows), *pictures[image_id]) for image_id, rows in found.items()}
    boxes = {image_id: some for image_id, some in boxes.items() if len(some)}
    if not boxes:
        raise BoxesError(f"{path} has no usable box of category {source.own_category} for an image of {source.path}")
    unusable = sum(map(len, found.values())) - sum(map(len, boxes.values()))
    return Detections(Path(path), threshold, boxes, unusable, elsewhere)


def detect_people(
    source: CocoFile, detector: Detector | BoxFunction, progress: Callable[[int], None] = lambda _: None
) -> Detections:
    """Boxes of a detector in all images of a data set, which are taken as they are stored, as its labels are.

    progress: called with the number of images done. Raises ImageError if an image cannot be read.
    """
    found = find_people(source, detector, progress)
    boxes = {image_id: people for image_id, people in found.items() if len(people)}
    made_by = as_detector(detector)
    return Detections(made_by.name, made_by.threshold, boxes, unusable=0, elsewhere=0)


def find_people(
    source: CocoFile | PeopleFile, detector: BoxFunction, progress: Callable[[int], None] = lambda _: None
) -> dict[int, Boxes]:
    """A detector's boxes of all images of a file, by image id. progress: called with the images done."""
    found = {}
    for number, picture in enumerate(source.document["images"], start=1):
        image_hw, upright = (picture["height"], picture["width"]), bool(picture.get("upright"))
        found[int(picture["id"])] = detector(read_labelled(source.images / picture["file_name"], image_hw, upright))
        progress(number)
    return found


def open_source(path: str | Path, images: str | Path) -> CocoFile:
    """Read a COCO keypoint file, or labels of another tool; or one of images alone, such as image_info_test-dev.

    The latter comes without people, its joints COCO's 17. Raises DataError if it is neither.
    """
    path = Path(path)
    document, notes = read_labels(path, Path(images))
    if not isinstance(document, dict) or "annotations" in document or not isinstance(document.get("images"), list):
        return understood(path, Path(images), document, notes)
    people = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    return understood(path, Path(images), {"images": document["images"], "annotations": [], "categories": [people]})


def _read_rows(path: Path) -> list[Any]:
    try:
        rows = read_json(path)
    except DataError as error:
        raise BoxesError(str(error)) from error
    if not isinstance(rows, list):
        raise BoxesError(f"{path} must hold a list of detections; for a file's own boxes leave boxes out")
    return rows


def _usable(rows: NDArray[np.float64], height: int, width: int) -> Boxes:
    """The boxes of rows (N, 5) that have some area, some of it in an image of that size."""
    left, top, wide, high = rows.astype(np.float32)[:, :4].T  # as Boxes holds them
    inside = (left < width) & (top < height) & (left + wide > 0) & (top + high > 0)
    good = rows[(wide > 0) & (high > 0) & inside]
    return Boxes(good[:, :4].astype(np.float32), good[:, 4].astype(np.float32))

"""COCO keypoint files: reading them, and the persons in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.data.labels import read_labels
from lightpose.data.stored import fit_images
from lightpose.errors import DataError
from lightpose.io.coco import Kind, Reading, key, read_annotations, tell
from lightpose.ops.geometry import clip_boxes
from lightpose.skeletons import Skeleton, from_category
from lightpose.types import Person

__all__ = ["CocoFile", "read_coco", "read_document", "understood"]


@dataclass(frozen=True)
class CocoFile:
    """A COCO keypoint file as `lightpose.io.coco` reads it.

    document: the json put right; all persons are of one category, and ids are whole numbers. skeleton: the joints of
    that category. images: the folder of its images. notes: what was read how, and what is left out, a line each.
    written: the json as it is. image_ids: by the file's own ids, those in `document`; own_ids: the other way round, as
    they are written. own_category: that of persons, as it is written.
    """

    path: Path
    images: Path
    document: dict[str, Any]
    skeleton: Skeleton
    notes: tuple[str, ...] = ()
    written: dict[str, Any] = field(default_factory=dict, repr=False)
    image_ids: Mapping[int | str, int] = field(default_factory=dict, repr=False)
    own_ids: Mapping[int, Any] = field(default_factory=dict, repr=False)
    own_category: Any = 1

    def __post_init__(self) -> None:
        """What is not given is as in `document`, for files made by hand."""
        if not self.written:
            object.__setattr__(self, "written", self.document)
            object.__setattr__(self, "image_ids", {image["id"]: image["id"] for image in self.document["images"]})

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

    def image_id(self, own: Any) -> int | None:
        """The id in `document` of the image that the file itself, or results for it, give that id; None if none."""
        found = key(own)
        return None if found is None else self.image_ids.get(found)

    def own_id(self, image_id: int) -> Any:
        """What the file itself calls the image of that id in `document`."""
        return self.own_ids.get(image_id, image_id)

    @property
    def category_id(self) -> int:
        """Of persons, in `document`."""
        return next(int(row["id"]) for row in self.document["categories"] if row.get("keypoints"))

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
            upright=bool(picture.get("upright")),
        )


def read_coco(path: str | Path, images: str | Path) -> CocoFile:
    """Read a COCO keypoint file, or labels of another tool; see `read_labels`.

    images: the folder that its `file_name`s are in. What was read how is in `notes`, and in the log as warnings of
    `lightpose`. Raises DataError with the file, image and annotation if a row means nothing, an id dangles or repeats,
    or an image has another size than the file says.
    """
    written, notes = read_labels(Path(path), Path(images))
    return understood(Path(path), Path(images), written, notes)


def understood(path: Path, images: Path, written: Any, before: Sequence[str] = ()) -> CocoFile:
    """The same for a file's content. before: what is to be said first."""
    reading = read_document(written, images, "pose")
    if (refusal := reading.refusal(path)) or reading.people is None:
        raise DataError(refusal or f"{path} has no persons")
    lost = _left_out(reading)
    notes = tell(path, [*before, *reading.notes, *([lost] if lost else [])])
    skeleton = from_category(reading.people.row)
    ids = (reading.image_ids, reading.own_ids, reading.own_category)
    return CocoFile(path, images, reading.document, skeleton, notes, written, *ids)


def read_document(written: Any, images: Path | None, kind: Kind) -> Reading:
    """A file's content put right, its images held against their files in that folder, if there is one."""
    reading = read_annotations(written, kind)
    fitted = fit_images(reading.document.get("images", ()), images)
    remarks = tuple(sorted(reading.remarks + fitted.remarks, key=lambda remark: not remark.refused))
    return replace(reading, document={**reading.document, "images": fitted.images}, remarks=remarks)


def _left_out(reading: Reading) -> str:
    """A note on labelled persons whose box has no area in the image, as `clip_boxes` has it; "" if there are none."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in reading.document["images"]}
    category = reading.people.number if reading.people else None
    lost = []
    for row in reading.document["annotations"]:
        if row["category_id"] == category and not row.get("iscrowd", 0):
            (x, y, w, h), (width, height) = row["bbox"], sizes[row["image_id"]]
            if (w <= 1 or h <= 1 or x >= width - 1 or y >= height - 1) and any(v > 0 for v in row["keypoints"][2::3]):
                lost.append(row["id"])
    if not lost:
        return ""
    shown = f"annotation {lost[0]}{', …' if len(lost) > 1 else ''}"
    return f"{len(lost)} labelled persons have a box without area in the image ({shown}): not cropped, missed in AP"

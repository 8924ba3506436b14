"""MPII Human Pose (Andriluka et al., CVPR 2014) as a COCO keypoint document.

The release's file `mpii_human_pose_v1_u12_1.mat` is one struct RELEASE with `annolist` (a struct for each image) and
`img_train` (1 where an image's labels are public). An image's `annorect` has a struct for each person, in which any
field may be missing or empty: `annopoints.point` with x, y, id (the joint's place in `MPII16`) and `is_visible`;
`objpos` with x, y, the rough middle of the person; `scale`, the person's height in units of 200 pixels; and x1, y1, x2,
y2, the head's rectangle. MATLAB counts pixels from 1, a COCO file from 0, so that 1 is subtracted from all places.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightpose.data.convert import AREA_SHARE, Converted, annotation, category, clip_box, extent_box, load_mat
from lightpose.data.sizes import picture_hw
from lightpose.errors import DataError
from lightpose.skeletons import MPII16

__all__ = ["MpiiBoxes", "read_mpii"]

MpiiBoxes = Literal["scale", "joints"]

_UNIT, _LOWER = 200.0, 15.0
"""Pixels in a unit of `scale`; and how far below `objpos`, times `scale`, the middle of the box is (SimpleBaseline)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Person:
    """triples: (16, 3) x, y, COCO's visibility. center: (2,), side: the square that scale and objpos give; NaN if not
    given. head: (4,) left, top, width, height, or None."""

    triples: Floats
    center: Floats
    side: float
    head: Floats | None


def read_mpii(path: Path, images: Path, boxes: MpiiBoxes = "scale") -> Converted:
    """The public part of the data set as a COCO keypoint document; an image's id is its place in `annolist`, from 1.

    boxes: `scale` takes squares of 200 · scale pixels about objpos, moved down by 15 · scale, which lightpose's crop
    (1.25 times the box) makes the crops of SimpleBaseline; `joints` takes the joints' extent and a margin, narrower and
    more like COCO's. A person lacking the one has the other. Both are clipped to the image. The area is AREA_SHARE of
    that of the joints' extent with its margin, or a fifth of the square's of people without joints. `head_box` (left,
    top, width, height) is the head's rectangle; PCKh's head size is 0.6 of its diagonal. A joint has visibility 1 where
    `is_visible` is 0, else 2, also where it is not told, as of most necks and head tops.
    People without a place in the image, and images without public labels or such people, are left out.
    Raises DataError if the file is no such file, ImageError if an image is missing or broken.
    """
    release = load_mat(path, "RELEASE")
    pictures, public = _many(getattr(release, "annolist", None)), np.atleast_1d(getattr(release, "img_train", []))
    if not pictures or len(public) != len(pictures) or not hasattr(pictures[0], "image"):
        raise DataError(f"{path} is not MPII's file: RELEASE needs annolist with images, and img_train as long as it")
    document: dict[str, Any] = {"images": [], "annotations": [], "categories": [category(MPII16)]}
    skipped: Counter[str] = Counter()
    for number, (picture, train) in enumerate(zip(pictures, public, strict=True), start=1):
        people = [_person(rect) for rect in _many(getattr(picture, "annorect", None))] if train else []
        people = [person for person in people if _is_somewhere(person)]
        if not people or not _add(document, number, picture, people, images, boxes):
            skipped["no person labelled" if train else "test images, whose labels are not public"] += 1
    return Converted(document, dict(skipped))


def _add(
    document: dict[str, Any], number: int, picture: Any, people: list[_Person], images: Path, boxes: MpiiBoxes
) -> bool:
    """Add an image and its people to the document, unless nobody has a box in it; whether it was added."""
    name = str(getattr(picture.image, "name", ""))
    image_hw = picture_hw(images / name)
    rows: list[dict[str, Any]] = []
    for person in people:
        box, area = _box_area(person, image_hw, boxes)
        row = annotation(len(document["annotations"]) + len(rows) + 1, number, box, area, person.triples)
        if person.head is not None:
            row["head_box"] = [round(value, 2) for value in person.head.tolist()]
        if (box[2:] > 0).all():
            rows.append(row)
    document["annotations"] += rows
    if rows:
        document["images"].append({"id": number, "file_name": name, "height": image_hw[0], "width": image_hw[1]})
    return bool(rows)


def _box_area(person: _Person, image_hw: tuple[int, int], boxes: MpiiBoxes) -> tuple[Floats, float]:
    """The box, clipped to the image, and the person's area in square pixels."""
    labelled = person.triples[person.triples[:, 2] > 0, :2]
    extent = extent_box(labelled) if len(labelled) else np.zeros(4)
    square = np.concatenate([person.center - person.side / 2, np.full(2, person.side)])
    square_known = bool(np.isfinite(square).all())
    extent_known = bool((extent[2:] > 0).all())
    box = square if square_known and (boxes == "scale" or not extent_known) else extent
    inside = clip_box(extent, image_hw) if extent_known else clip_box(square, image_hw)
    share = AREA_SHARE if extent_known else 0.2
    return clip_box(box, image_hw), share * float(inside[2] * inside[3])


def _is_somewhere(person: _Person) -> bool:
    """Whether a box can be made: there is a square, or there are joints apart."""
    labelled = person.triples[person.triples[:, 2] > 0, :2]
    return bool(np.isfinite(person.side) or (len(labelled) and np.ptp(labelled, axis=0).max() > 0))


def _person(rect: Any) -> _Person:
    triples = np.zeros((len(MPII16), 3))
    for points in _many(getattr(rect, "annopoints", None)):
        for point in _many(getattr(points, "point", None)):
            joint, x, y = (_number(point, name) for name in ("id", "x", "y"))
            if joint in range(len(MPII16)) and np.isfinite([x, y]).all():
                triples[int(joint)] = x - 1, y - 1, 1 if _number(point, "is_visible") == 0 else 2
    scale, objpos = _number(rect, "scale"), getattr(rect, "objpos", None)
    center = np.array([_number(objpos, "x") - 1, _number(objpos, "y") - 1 + _LOWER * scale])
    side = _UNIT * scale if scale > 0 and np.isfinite(center).all() else np.nan
    corners = np.array([_number(rect, name) for name in ("x1", "y1", "x2", "y2")]) - 1
    head = np.concatenate([corners[:2], corners[2:] - corners[:2]])
    return _Person(triples, center, side, head if (head[2:] > 0).all() else None)


def _many(value: Any) -> list[Any]:
    """A struct array as a list: none for an empty or missing field, one for a single struct."""
    if value is None:
        return []
    return [item for item in np.atleast_1d(value).ravel().tolist() if hasattr(item, "_fieldnames")]


def _number(struct: Any, name: str) -> float:
    """A field as a number; NaN if the field, or the struct, is missing or empty. Texts such as '1' are numbers too."""
    value = np.asarray(getattr(struct, name, [])).ravel()
    try:
        return float(value[0]) if value.size else np.nan
    except (TypeError, ValueError):
        return np.nan

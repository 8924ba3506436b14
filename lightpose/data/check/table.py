"""A COCO keypoint file as arrays, read as ever, whatever is wrong with it: what cannot be used becomes NaN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.data.check.faults import Name
from lightpose.io.coco import Reading

__all__ = ["Bools", "Floats", "Row", "Table", "name_of", "numeric_rows", "objects", "read_table"]

Row = dict[str, Any]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Table:
    """M images and the N annotations of the person category, with their K joints.

    image_ids, ids: names of images and annotations. image_hw: (M, 2). image: (N,) place of the annotation's image,
    -1 if there is none. crowd: (N,). box: (N, 4) as written. area, stated (the `num_keypoints`): (N,). keypoints:
    (N, K, 3). Whatever is missing, malformed or not finite is NaN, a whole row of it.
    """

    joints: tuple[str, ...]
    images: list[Row]
    image_ids: list[Name]
    image_hw: Floats
    rows: list[Row]
    ids: list[Name]
    image: NDArray[np.intp]
    crowd: Bools
    box: Floats
    area: Floats
    stated: Floats
    keypoints: Floats

    @cached_property
    def seen(self) -> Bools:
        """(N, K): joints with a label, that is a visibility above 0."""
        marked: Bools = self.keypoints[..., 2] > 0
        return marked

    @cached_property
    def person(self) -> Bools:
        """(N,): everybody who is no crowd."""
        return ~self.crowd

    @cached_property
    def labelled(self) -> Bools:
        """(N,): persons with a labelled joint, those that COCO's evaluation counts."""
        counted: Bools = self.person & self.seen.any(1)
        return counted

    @cached_property
    def picture_hw(self) -> Floats:
        """(N, 2): size of each annotation's image."""
        sizes = np.concatenate([self.image_hw, np.full((1, 2), np.nan)])
        return sizes[self.image]

    @cached_property
    def effective_area(self) -> Floats:
        """(N,): the area that `read_coco` takes: the box's where the file gives none."""
        given = np.array(["area" in row for row in self.rows], dtype=bool)
        return np.where(given, self.area, self.box[:, 2] * self.box[:, 3])

    def joint(self, name: str) -> Floats:
        """(N, 2): where everybody's joint of that name is, NaN where it is not labelled."""
        if name not in self.joints:
            return np.full((len(self.rows), 2), np.nan)
        number = self.joints.index(name)
        return np.where(self.seen[:, number, None], self.keypoints[:, number, :2], np.nan)


def read_table(reading: Reading) -> Table:
    """The table of a json document as it is read; lists that are missing count as empty."""
    document, people = reading.document, reading.people
    images, rows = objects(document, "images"), objects(document, "annotations")
    if people is None:
        rows = [row for row in rows if isinstance(row.get("keypoints"), list)]
    else:
        rows = [row for row in rows if row.get("category_id", people.number) == people.number]
    joints = people.joints if people else _joint_numbers(rows)
    places = {_key(image.get("id")): place for place, image in enumerate(images)}
    return Table(
        joints=joints,
        images=images,
        image_ids=[name_of(image, place) for place, image in enumerate(images)],
        image_hw=_sizes(images),
        rows=rows,
        ids=[name_of(row, place) for place, row in enumerate(rows)],
        image=np.array([places.get(_key(row.get("image_id")), -1) for row in rows], dtype=np.intp),
        crowd=np.array([bool(row.get("iscrowd", 0)) for row in rows], dtype=bool),
        box=numeric_rows([row.get("bbox") for row in rows], 4),
        area=numeric_rows([[row.get("area")] for row in rows], 1)[:, 0],
        stated=numeric_rows([[row.get("num_keypoints")] for row in rows], 1)[:, 0],
        keypoints=numeric_rows([row.get("keypoints") for row in rows], 3 * len(joints)).reshape(
            len(rows), len(joints), 3
        ),
    )


def objects(document: Row, key: str) -> list[Row]:
    """The objects in a list of the document; none if there is no such list."""
    rows = document.get(key)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def name_of(row: Row, place: int) -> Name:
    """A row's id, or its place if the id is none that can be shown."""
    found = row.get("id")
    return found if isinstance(found, int | str) else f"number {place}"


def numeric_rows(values: Sequence[Any], width: int) -> Floats:
    """(N, width) from N lists; a row of NaN for what is not that many finite numbers."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.zeros(0)
    if array.shape != (len(values), width):
        array = np.empty((len(values), width))
        for number, value in enumerate(values):
            array[number] = _numeric_row(value, width)
    return np.where(np.isfinite(array).all(1, keepdims=True), array, np.nan)


def _numeric_row(value: Any, width: int) -> Floats:
    try:
        row = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        row = np.zeros(0)
    return row if row.shape == (width,) else np.full(width, np.nan)


def _key(value: Any) -> Any:
    """A value by which an image can be looked up; lists and the like stand for none."""
    return value if isinstance(value, int | float | str) else None


def _sizes(images: list[Row]) -> Floats:
    sizes = numeric_rows([[image.get("height"), image.get("width")] for image in images], 2)
    return np.where((sizes > 0).all(1, keepdims=True), sizes, np.nan)


def _joint_numbers(rows: list[Row]) -> tuple[str, ...]:
    """Numbers of the joints, where the file does not name them."""
    lengths = Counter(len(row["keypoints"]) // 3 for row in rows if isinstance(row.get("keypoints"), list))
    return tuple(str(number) for number in range(lengths.most_common(1)[0][0] if lengths else 0))

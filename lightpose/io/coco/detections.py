"""Rows of a bare list of boxes, as detectors write them: each one's image, box, score and category."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from lightpose.errors import BoxesError
from lightpose.io.coco.categories import unnamed_people
from lightpose.io.coco.rows import read_box
from lightpose.io.coco.values import Key, brief, file_name, key, number

__all__ = ["Detection", "not_told", "people_of", "read_detection_rows"]


@dataclass(frozen=True)
class Detection:
    """One box. image_id, file_name: the image, by one of them at least. score: None where none is given.

    category: None where none is given. crowd: whether it is of a crowd.
    """

    image_id: Any
    file_name: str | None
    box_xywh: list[float]
    score: float | None
    category: Key | None
    crowd: bool


def read_detection_rows(path: object, rows: Sequence[Any]) -> list[Detection]:
    """All rows of a list of boxes. Raises BoxesError with the first that is malformed or not finite."""
    return [_detection(f"{path}: row {at}", row) for at, row in enumerate(rows)]


def _detection(where: str, row: Any) -> Detection:
    if not isinstance(row, dict) or "bbox" not in row or not ("image_id" in row or "file_name" in row):
        raise BoxesError(f"{where} must be an object with a bbox and an image_id or file_name")
    image, name = row.get("image_id"), row.get("file_name")
    if "image_id" in row and key(image) is None:
        raise BoxesError(f"{where}: image_id must be a number or a name, not {brief(image)}")
    if "file_name" in row and not isinstance(name, str):
        raise BoxesError(f"{where}: file_name must be text, not {brief(name)}")
    shown = f"{where} (image {image if name is None else name})"
    box, score = read_box(row["bbox"]), number(row.get("score", 1))
    if box is None or score is None:
        raise BoxesError(f"{shown}: bbox must be [left, top, width, height] and score a number, all of them finite")
    category, mark = row.get("category_id"), number(row.get("iscrowd") or 0)
    if category is not None and key(category) is None:
        raise BoxesError(f"{shown}: category_id must be a number or a name, not {brief(category)}")
    if mark is None:
        raise BoxesError(f"{shown}: iscrowd must be 0 or 1, not {brief(row['iscrowd'])}")
    name = None if name is None else file_name(name)
    return Detection(image, name, box, score if "score" in row else None, key(category), mark != 0)


def people_of(path: object, rows: Sequence[Detection]) -> tuple[list[Detection], str]:
    """Those of people in a list, which names no categories (see `unnamed_people`); a note if that is a guess, else "".

    Raises BoxesError if it cannot be told who is people.
    """
    found = {row.category for row in rows if row.category is not None}
    number = unnamed_people(found)
    if number is None:
        raise BoxesError(f"{path}: {not_told(found)}")
    note = f"all {len(rows)} boxes are of category 0, and are taken for people" if number == 0 else ""
    return [row for row in rows if row.category in (None, number)], note


def not_told(found: Collection[Key]) -> str:
    """What there is to say where people cannot be told."""
    shown = ", ".join(map(str, sorted(found, key=str)[:5]))
    return (
        f"its boxes are of category {shown}, and it does not say which is people, who are 1 in COCO; leave the other "
        "boxes out, and write category_id 1 for people"
    )

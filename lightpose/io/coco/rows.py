"""The rows of a COCO-like file put right, one at a time: images, and annotations of people."""

from __future__ import annotations

from typing import Any

from lightpose.io.coco.categories import Kind, People, Row
from lightpose.io.coco.remarks import Name, Remarks
from lightpose.io.coco.values import brief, file_name, keypoints, number

__all__ = ["image_row", "person_row", "read_box", "row_name"]

MORE_KEYPOINTS = frozenset({"foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"})
"""Keys of COCO-WholeBody beside the seventeen `keypoints`."""


def row_name(row: Row, at: int) -> Name:
    """A row's id, or its place if the id is none that can be shown."""
    found = row.get("id")
    return found if isinstance(found, int | str) else f"number {at}"


class _Where:
    """An annotation in words, with its image; put together only when they are said."""

    __slots__ = ("_image", "_row")

    def __init__(self, row: Row, image: Row | None) -> None:
        self._row, self._image = row, image

    def __str__(self) -> str:
        image = self._image
        shown = f" of image {self._row.get('image_id')} ({image.get('file_name')})" if image else ""
        return f"annotation {self._row.get('id', 'without id')}{shown}"


def image_row(row: Row, kind: Kind, at: int, remarks: Remarks) -> Row:
    """An image with the name of its file, and for poses and people its height and width, None where not given."""
    name, fixed = row_name(row, at), dict[str, Any]()
    given = row.get("file_name", row.get("coco_url"))
    if given is None and "file_name" not in row:
        remarks.refuse("no_key", f"image {name}: file_name", f"image number {at} has no 'file_name'")
    elif not isinstance(given, str) or not given:
        text = f"image {name} has the file_name {brief(given)}, which is no text; write the path of its file"
        remarks.refuse("bad_file_name", name, text)
    else:
        fixed["file_name"] = file_name(given)
        if "://" in given:
            remarks.note("url_name", name, f"{given}")
    if kind != "boxes":
        fixed |= _size(row, name, remarks)
    return {**row, **fixed} if any(row.get(key, remarks) != value for key, value in fixed.items()) else row


def _size(row: Row, name: Name, remarks: Remarks) -> Row:
    """Height and width, whole numbers, both None where one is not given."""
    shown = f"image {name} ({row.get('file_name')})"
    if row.get("height") is None or row.get("width") is None:
        remarks.note("no_size", name, shown)
        return {"height": None, "width": None}
    sides = {side: number(row[side]) for side in ("height", "width")}
    if not all(side is not None and side > 0 and side == int(side) for side in sides.values()):
        text = f"{shown} must have a height and width above 0, not {brief(row['height'])} and {brief(row['width'])}"
        remarks.refuse("bad_size", name, text)
        return {}
    if isinstance(row["height"], str) or isinstance(row["width"], str):
        remarks.note("text_number", f"image {name}", shown)
    return {side: int(value) for side, value in sides.items() if value is not None}


def person_row(row: Row, image: Row | None, people: People, kind: Kind, at: int, remarks: Remarks) -> Row:
    """An annotation of a person with its box, and for poses area, crowd mark and keypoints, put right."""
    name, label = row_name(row, at), _Where(row, image)
    fixed, labelled = _crowd(row, name, label, remarks), True
    if kind != "boxes":
        fixed |= _area(row, name, label, remarks)
    elif row.get("score", 1) is None:
        fixed["score"] = None  # to be left out
    if kind == "pose" and people.joints:
        points, labelled = _keypoints(row, len(people.joints), name, label, remarks)
        fixed |= points
    if not labelled and row.get("bbox") in (None, []):
        remarks.note("no_box", name, label)
        fixed["bbox"] = [0, 0, 0, 0]
    else:
        fixed |= _box(row, name, label, remarks)
    whole = {**row, **fixed}
    return {key: value for key, value in whole.items() if key not in fixed or value is not None} if fixed else row


def _crowd(row: Row, name: Name, label: _Where, remarks: Remarks) -> Row:
    mark = row.get("iscrowd", 0)
    if type(mark) is int and mark in (0, 1):
        return {}
    found = 0 if mark is None else number(mark)
    if found is None:
        remarks.refuse(
            "no_crowd_mark", name, f"{label} has the iscrowd {brief(mark)}; write 0 for a person, 1 for a crowd"
        )
        return {}
    if found not in (0, 1):
        remarks.note("bad_crowd", name, label)
    return {"iscrowd": int(found != 0)} if mark is not None else {"iscrowd": None}


def _area(row: Row, name: Name, label: _Where, remarks: Remarks) -> Row:
    """The area as a number; None, to be left out, where it is null."""
    area = row.get("area", 0)
    found = number(area)
    if area is not None and found is None:
        remarks.refuse("bad_area", name, f"{label} has the area {brief(area)}, which is not a finite number")
        return {}
    if isinstance(area, str):
        remarks.note("text_number", f"annotation {name}", label)
    return {} if type(area) in (int, float) else {"area": found}


def _box(row: Row, name: Name, label: _Where, remarks: Remarks) -> Row:
    box = read_box(row.get("bbox"))
    if box is None:
        text = f"{label} must have a bbox of four finite numbers (left, top, width, height)"
        remarks.refuse("bad_box", name, text)
        return {}
    if any(isinstance(value, str) for value in row.get("bbox", ())):
        remarks.note("text_number", f"annotation {name}", label)
    return {} if box == row["bbox"] else {"bbox": box}


def read_box(value: Any) -> list[float] | None:
    """The four numbers of a box; None if there are none."""
    numbers = [number(side) for side in value] if isinstance(value, list) else []
    found = [side for side in numbers if side is not None]
    return found if len(found) == len(numbers) == 4 else None


def _keypoints(row: Row, joints: int, name: Name, label: _Where, remarks: Remarks) -> tuple[Row, bool]:
    """The keypoints, and whether one is labelled."""
    found, codes = keypoints(row.get("keypoints"), joints)
    if found is None:
        text = f"{label} must have {joints} keypoints of three finite numbers (x, y, visibility)"
        remarks.refuse("bad_keypoints", name, text)
        return {}, True
    for code in codes:
        remarks.note(code, f"annotation {name}" if code == "text_number" else name, label)
    if not MORE_KEYPOINTS.isdisjoint(row):
        remarks.note("more_keypoints", name, label)
    return {} if found is row.get("keypoints") else {"keypoints": found}, any(seen > 0 for seen in found[2::3])

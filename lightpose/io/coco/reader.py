"""A COCO-like document as the whole program understands it: ids and numbers put right, and what was remarked.

Rows stay in their places and keep the keys that nobody reads. A row that cannot be used stays as it is, and a remark
that refuses the file names it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightpose.io.coco.categories import Kind, People, Row, find_people, unnamed_people
from lightpose.io.coco.detections import not_told
from lightpose.io.coco.remarks import Remark, Remarks
from lightpose.io.coco.rows import image_row, person_row, row_name
from lightpose.io.coco.values import Key, brief, is_small, key, numbered

__all__ = ["Reading", "read_annotations"]

LISTS = {"images": "image", "categories": "category", "annotations": "annotation"}

PERSON = 1
"""The category of people as COCO numbers them."""

Ids = Mapping[Key, int]
"""By the file's own ids, as `key` has them, the ids inside."""


@dataclass(frozen=True)
class Reading:
    """What a document says. document: put right, its people all in one category. people: None if nobody can be found.

    image_ids: of images. own_ids: the file's ids of images as they are written, by those inside. own_category: that of
    people, as it is written.
    """

    document: Row
    people: People | None
    remarks: tuple[Remark, ...]
    image_ids: Ids = field(default_factory=dict)
    own_ids: Mapping[int, Any] = field(default_factory=dict)
    own_category: Any = 1

    def refusal(self, path: str | Path) -> str | None:
        """A sentence on why the file cannot be used, if so."""
        text = next((remark.text for remark in self.remarks if remark.refused), None)
        return text and f"{path}{' ' if text.startswith('is ') else ': '}{text}"

    @property
    def notes(self) -> list[str]:
        """What was read how, and what is left out: a line each."""
        return [remark.text for remark in self.remarks if not remark.refused]


def read_annotations(document: Any, kind: Kind) -> Reading:
    """Put a document right, and find its people. Never raises; the document stays as it was."""
    remarks = Remarks()
    if not isinstance(document, dict):
        remarks.refuse("no_list", "file", "is not a COCO annotation file: its top level is not an object")
        return Reading({}, None, remarks.done())
    lists = {name: _rows(document, name, kind, remarks) for name in LISTS}
    image_ids, category_ids = (_ids(lists[name], LISTS[name], remarks) for name in ("images", "categories"))
    annotation_ids = None if kind == "boxes" else _ids(lists["annotations"], "annotation", remarks)
    images = [
        _with_id(image_row(row, kind, at, remarks), image_ids) if isinstance(row, dict) else row
        for at, row in enumerate(lists["images"])
    ]
    reader = _Annotations(kind, images, image_ids, category_ids, annotation_ids, remarks)
    categories = {
        inside: row for row in _objects(lists["categories"]) if (inside := _look(row, category_ids)) is not None
    }
    used = Counter(inside for row in _objects(lists["annotations"]) if (inside := reader.category(row)) is not None)
    people = find_people(categories, used, kind, remarks) if categories or kind != "boxes" else _unnamed(used, remarks)
    annotations = [
        reader.read(row, people, at) if isinstance(row, dict) else row for at, row in enumerate(lists["annotations"])
    ]
    whole = {**document, "images": images, "annotations": annotations}
    whole["categories"] = _categories(lists["categories"], category_ids, people)
    own = {inside: row["id"] for row in _objects(lists["images"]) if (inside := _look(row, image_ids)) is not None}
    return Reading(whole, people, remarks.done(), image_ids, own, people and people.row.get("id", people.number))


class _Annotations:
    """Puts the annotations of a document right."""

    def __init__(
        self, kind: Kind, images: list[Any], image_ids: Ids, category_ids: Ids, ids: Ids | None, remarks: Remarks
    ) -> None:
        self._kind, self._remarks = kind, remarks
        self._image_ids, self._category_ids, self._ids = image_ids, category_ids, ids
        self._images = {row["id"]: row for row in images if isinstance(row, dict) and isinstance(row.get("id"), int)}

    def category(self, row: Row) -> int | None:
        """The id inside of an annotation's category; in a file of boxes without categories its own, or COCO's."""
        if self._category_ids or self._kind != "boxes":
            return _look(row, self._category_ids, "category_id")
        found = key(row.get("category_id", PERSON))
        return found if isinstance(found, int) else None

    def read(self, row: Row, people: People | None, at: int) -> Row:
        """One of them, with ids inside; people put right."""
        fixed: Row = {}
        if (own := _look(row, self._ids or {})) is not None:
            fixed["id"] = own
        image = self._found(row, "image_id", _look(row, self._image_ids, "image_id"), at)
        category = self._found(row, "category_id", self.category(row), at)
        if image is not None:
            fixed["image_id"] = image
        person = people is not None and category in people.numbers
        if people is not None and person:
            fixed["category_id"] = people.number
        elif category is not None:
            fixed["category_id"] = category
        whole = {**row, **fixed} if any(row.get(name) is not value for name, value in fixed.items()) else row
        if people is None or not person:
            return whole
        return person_row(
            whole, self._images.get(-1 if image is None else image), people, self._kind, at, self._remarks
        )

    def _found(self, row: Row, field_: str, inside: int | None, at: int) -> int | None:
        """The same id; a remark if it is missing or leads nowhere."""
        what = field_.removesuffix("_id")
        if inside is not None:
            return inside
        if field_ not in row:
            if self._kind != "boxes" or (what == "image" and "file_name" not in row):
                name = f"annotation {row_name(row, at)}: {field_}"
                self._remarks.refuse("no_key", name, f"annotation number {at} has no {field_!r}")
            return None
        verb = "belongs to image" if what == "image" else "has category"
        text = f"annotation {row_name(row, at)} {verb} {brief(row[field_])}, which is not in the file"
        self._remarks.refuse(f"dangling_{what}", row_name(row, at), text)
        return None


def _unnamed(used: Counter[int], remarks: Remarks) -> People | None:
    """People in a file of boxes without categories."""
    number = unnamed_people(used)
    if number is None:
        remarks.refuse("no_person", "categories", not_told(used))
        return None
    if number != PERSON:
        remarks.whole("people_0", ["categories"], "all boxes are of category 0, and are taken for people")
    return People(number, frozenset({number}), {"id": number}, ())


def _rows(document: Row, name: str, kind: Kind, remarks: Remarks) -> list[Any]:
    """A list of the document; empty, with a remark, if there is none."""
    rows = document.get(name)
    if not isinstance(rows, list):
        if kind != "boxes" or name != "categories" or rows is not None:
            remarks.refuse("no_list", name, f"is not a COCO annotation file: it has no list called {name!r}")
        return []
    for at, row in enumerate(rows):
        if not isinstance(row, dict):
            remarks.refuse("no_object", f"{name}[{at}]", f"{LISTS[name]} number {at} is not an object")
    return rows


def _ids(rows: list[Any], kind: str, remarks: Remarks) -> Ids:
    """Ids inside by those of the file, of all rows that have one; remarks on the others, and on those that repeat."""
    seen: dict[Key, Any] = {}
    repeated: set[Key] = set()
    for at, row in enumerate(rows):
        if not isinstance(row, dict):
            continue
        found = key(row.get("id"))
        if "id" not in row:
            remarks.refuse("no_key", f"{kind} number {at}: id", f"{kind} number {at} has no 'id'")
        elif found is None:
            text = f"{kind} number {at} has the id {brief(row['id'])}, which is no number and no text"
            remarks.refuse(f"bad_{kind}_id", row_name(row, at), text)
        elif found not in seen:
            seen[found] = row["id"]
        elif found not in repeated:
            repeated.add(found)
            remarks.refuse(f"repeated_{kind}_id", found, f"two {_PLURALS[kind]} have the id {found}")
    inside = numbered(list(seen))
    changed = [own for own, number in zip(seen.values(), inside, strict=True) if type(own) is not int]
    if inside != list(seen):
        odd = next((own for own in seen if not is_small(own)), "")
        remarks.whole("numbered_ids", [_PLURALS[kind]], f"{kind} {brief(odd)}")
    elif changed:
        remarks.whole("read_ids", [_PLURALS[kind]], f"{kind} {changed[0]!r}")
    return dict(zip(seen, inside, strict=True))


_PLURALS = {one: many for many, one in LISTS.items()}


def _look(row: Row, ids: Ids, name: str = "id") -> int | None:
    """The id inside for that of a row."""
    found = key(row.get(name))
    return None if found is None else ids.get(found)


def _with_id(row: Row, ids: Ids) -> Row:
    inside = _look(row, ids)
    return row if inside is None or row["id"] is inside else {**row, "id": inside}


def _objects(rows: list[Any]) -> list[Row]:
    return [row for row in rows if isinstance(row, dict)]


def _categories(rows: list[Any], ids: Ids, people: People | None) -> list[Any]:
    """The categories with ids inside; that of people first, put right."""
    found: list[Any] = []
    for row in rows:
        inside = _look(row, ids) if isinstance(row, dict) else None
        if people is not None and inside == people.number:
            found.insert(0, {**people.row, "id": inside})
        else:
            found.append(row if inside is None else {**row, "id": inside})
    return found

"""Checks of the json itself: lists, keys and ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from lightpose.data.check.faults import Fault, Finding, Kind, Name
from lightpose.data.check.table import Row, name_of, numeric_rows, objects

__all__ = ["check_structure"]

KEYS: dict[Kind, tuple[str, ...]] = {
    "image": ("id", "file_name", "height", "width"),
    "annotation": ("id", "image_id", "category_id", "bbox"),
    "category": ("id",),
}
LISTS: dict[Kind, str] = {"image": "images", "annotation": "annotations", "category": "categories"}
REFUSED = "lightpose refuses the file"

NO_LIST = Fault(
    "no_list", "error", "file", "A list that COCO's format has is missing",
    f"{REFUSED}, as other tools do", "Add the lists `images`, `annotations` and `categories`.",
)  # fmt: skip
NO_OBJECT = Fault(
    "no_object", "error", "file", "An entry of a list is no json object",
    f"{REFUSED}", "Remove the entry or write it as an object.",
)  # fmt: skip
NO_KEY = Fault(
    "no_key", "error", "file", "A key that is needed is missing",
    f"{REFUSED}", "Add the key to the entries named.",
)  # fmt: skip
BAD_ID: dict[Kind, Fault] = {
    kind: Fault(
        f"bad_{kind}_id", "error", kind, "An id is no whole number",
        f"{REFUSED}; COCO's tools match ids exactly, so that 7 and \"7\" are strangers",
        "Number the entries with whole numbers, and what refers to them too.",
    )
    for kind in KEYS
}  # fmt: skip
REPEATED_ID: dict[Kind, Fault] = {
    "image": Fault(
        "repeated_image_id", "error", "image", "Several images have the same id",
        f"{REFUSED}; COCO's tools keep the last of them and lay everybody's labels on it",
        "Give every image an id of its own.",
    ),
    "annotation": Fault(
        "repeated_annotation_id", "error", "annotation", "Several annotations have the same id",
        f"{REFUSED}; COCO's tools mistake one person for the other when they match, so that AP is wrong",
        "Number the annotations anew, each with an id of its own.",
    ),
}  # fmt: skip
DANGLING: dict[str, Fault] = {
    "image_id": Fault(
        "dangling_image", "error", "annotation", "The annotation's image is not in the file",
        f"{REFUSED}; COCO's tools would pass these people over without a word",
        "Add the images, correct `image_id`, or remove the annotations.",
    ),
    "category_id": Fault(
        "dangling_category", "error", "annotation", "The annotation's category is not in the file",
        f"{REFUSED}; COCO's tools would pass these people over without a word",
        "Add the category or correct `category_id`.",
    ),
}  # fmt: skip
BAD_BOX = Fault(
    "bad_box", "error", "annotation", "The bbox is missing or not four finite numbers",
    f"{REFUSED}: a person without a box can be neither cropped nor measured",
    "Give each annotation [left, top, width, height] in pixels.",
)  # fmt: skip
BAD_SIZE = Fault(
    "bad_size", "error", "image", "Height or width is not a number above 0",
    f"{REFUSED}: boxes cannot be clipped to the image", "Write the image's height and width in pixels.",
)  # fmt: skip
BAD_NAME = Fault(
    "bad_file_name", "error", "image", "The file_name is no text",
    "The image cannot be opened", "Write the image's path below the folder of images.",
)  # fmt: skip
SAME_FILE = Fault(
    "same_file", "warning", "image", "Several images are the same file",
    "Its people are dealt out to several entries: each entry's AP takes the others' people for false finds",
    "Merge the entries into one with all annotations.",
)  # fmt: skip


def check_structure(document: Row) -> Iterator[Finding]:
    """Whether the lists, keys and ids are there and fit each other: what `read_coco` insists on, and a little more."""
    yield NO_LIST.naming(key for key in LISTS.values() if not isinstance(document.get(key), list))
    yield NO_OBJECT.naming(_no_objects(document))
    yield NO_KEY.naming(_missing_keys(document))
    for kind in KEYS:
        rows = [row for row in objects(document, LISTS[kind]) if "id" in row]
        yield BAD_ID[kind].naming(name_of(row, n) for n, row in enumerate(rows) if type(row["id"]) is not int)
        if kind in REPEATED_ID:
            yield REPEATED_ID[kind].naming(_repeated([row["id"] for row in rows]))
    yield from _check_images(objects(document, "images"))
    yield from _check_annotations(document)


def _no_objects(document: Row) -> Iterator[Name]:
    for key in LISTS.values():
        rows = document.get(key)
        if isinstance(rows, list):
            yield from (f"{key}[{n}]" for n, row in enumerate(rows) if not isinstance(row, dict))


def _missing_keys(document: Row) -> Iterator[Name]:
    for kind, keys in KEYS.items():
        for number, row in enumerate(objects(document, LISTS[kind])):
            yield from (f"{kind} {name_of(row, number)}: {key}" for key in keys if key not in row)


def _repeated(values: list[Any]) -> list[Name]:
    """Those ids and names that come more than once, each once."""
    counts = Counter(value for value in values if isinstance(value, int | str))
    return [value for value, count in counts.items() if count > 1]


def _check_images(images: list[Row]) -> Iterator[Finding]:
    ids = [name_of(image, number) for number, image in enumerate(images)]
    sizes = numeric_rows([[image.get("height"), image.get("width")] for image in images], 2)
    told = np.array(["height" in image and "width" in image for image in images], dtype=bool)
    yield BAD_SIZE.at(ids, told & ~(sizes > 0).all(1))
    yield BAD_NAME.naming(
        name for name, image in zip(ids, images, strict=True) if not isinstance(image.get("file_name", ""), str)
    )
    yield SAME_FILE.naming(_repeated([image.get("file_name") for image in images]))


def _check_annotations(document: Row) -> Iterator[Finding]:
    rows = objects(document, "annotations")
    ids = [name_of(row, number) for number, row in enumerate(rows)]
    for key, kind in (("image_id", "images"), ("category_id", "categories")):
        known = {other["id"] for other in objects(document, kind) if isinstance(other.get("id"), int | float | str)}
        yield DANGLING[key].naming(
            name for name, row in zip(ids, rows, strict=True) if key in row and not _is_in(row[key], known)
        )
    told = np.array(["bbox" in row for row in rows], dtype=bool)
    yield BAD_BOX.at(ids, told & np.isnan(numeric_rows([row.get("bbox") for row in rows], 4)).any(1))


def _is_in(value: Any, known: set[Any]) -> bool:
    return isinstance(value, int | float | str) and value in known

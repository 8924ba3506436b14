"""Which categories of a COCO-like file are people, and what their joints are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lightpose.io.coco.remarks import Remarks
from lightpose.io.coco.values import Key, brief, limbs

__all__ = ["Kind", "People", "Row", "find_people", "unnamed_people"]

Kind = Literal["pose", "people", "boxes"]
"""What a file is read for: persons with keypoints; people's boxes in images of known size; boxes by file name."""

Row = dict[str, Any]


@dataclass(frozen=True)
class People:
    """The categories that are people. number: the id that all of them get. numbers: those that they have.

    row: the category with its names and limbs put right; no joints if it names none.
    """

    number: int
    numbers: frozenset[int]
    row: Row
    joints: tuple[str, ...]


def find_people(categories: Mapping[int, Row], used: Counter[int], kind: Kind, remarks: Remarks) -> People | None:
    """The category with joint names, together with others of the same; else that called person, or the only one.

    categories: by id. used: how many annotations each has. Of several with joint names one that has annotations goes
    first, then one called person. Returns None if there is none, and remarks on it.
    """
    named = {number: row for number, row in categories.items() if row.get("keypoints")}
    if named:
        first = min(named, key=lambda number: (not used[number], not _is_person(named[number])))
        joints_of_first = named[first]["keypoints"]  # NaN, which is nothing's like, not even its own
        same = [number for number, row in named.items() if number == first or row["keypoints"] == joints_of_first]
        joints = _joint_names(named[first], remarks) if kind == "pose" else ()
        found = None if joints is None else _people(first, same, named[first], joints, remarks)
    elif kind == "pose":
        text = "it has no category with a list of `keypoints` names, so its joints have no names; add them"
        remarks.refuse("no_joint_names", "categories", text)
        return None
    else:
        found = _nameless(categories, used, remarks)
    if found is not None:
        _note_others(categories, used, found, remarks)
    return found


def unnamed_people(found: Collection[Key]) -> int | None:
    """The category of people in a file that names none, from those that its rows have; None if it cannot be told.

    People are 1, as in COCO, which has no 0; so they are 0 where all are. Where 0 is one of several, people may be
    either.
    """
    if set(found) == {0}:
        return 0
    return 1 if not found or (1 in found and 0 not in found) else None


def _people(first: int, same: list[int], row: Row, joints: tuple[str, ...], remarks: Remarks) -> People:
    pairs, code = limbs(row.get("skeleton"), len(joints))
    name = row["name"] if isinstance(row.get("name"), str) and row["name"] else "person"
    if code and joints:
        remarks.note(code, name, f"category {name!r}")
    shown = {**row, "name": name, "keypoints": list(joints)} if joints else row
    if joints and "skeleton" in row:
        shown["skeleton"] = pairs
    return People(first, frozenset(same), shown, joints)


def _nameless(categories: Mapping[int, Row], used: Counter[int], remarks: Remarks) -> People | None:
    """Of categories without joint names that called person, or the only one, or the only one with annotations."""
    for numbers in (
        [number for number, row in categories.items() if _is_person(row)],
        list(categories) if len(categories) == 1 else [],
        [number for number in categories if used[number]],
    ):
        if len(numbers) == 1:
            return People(numbers[0], frozenset(numbers), categories[numbers[0]], ())
    remarks.refuse(
        "no_person", "categories", "it has several categories and none is called 'person'; name that of the people so"
    )
    return None


def _is_person(row: Row) -> bool:
    return str(row.get("name")).strip().lower() == "person"


def _joint_names(row: Row, remarks: Remarks) -> tuple[str, ...] | None:
    """The names of the joints; None if they cannot be told apart."""
    names, title = row["keypoints"], str(row.get("name"))
    if not isinstance(names, list):
        remarks.refuse(
            "no_joint_names", title, f"category {title!r} has `keypoints` that are no list of names; write a list"
        )
        return None
    texts = [str(name) if type(name) in (int, str) else None for name in names]
    repeated = {name for name, count in Counter(texts).items() if count > 1}
    wrong = [brief(name) for name, text in zip(names, texts, strict=True) if not text or text in repeated]
    for name in wrong:
        remarks.refuse(
            "bad_joint_names", name, f"category {title!r} has the joint name {name}, which is no text or comes twice"
        )
    if wrong:
        return None
    for name in names:
        if not isinstance(name, str):
            remarks.note("numbered_joints", brief(name), f"joint {brief(name)}")
    return tuple(text for text in texts if text)


def _note_others(categories: Mapping[int, Row], used: Counter[int], people: People, remarks: Remarks) -> None:
    """Say which other categories are used as well, and which are left out."""
    others = {number: row for number, row in categories.items() if used[number] and number != people.number}
    same = [number for number in others if number in people.numbers]
    jointed = [number for number in others if number not in same and others[number].get("keypoints")]
    rest = [number for number in others if number not in same and number not in jointed]
    for code, numbers, tail in (
        ("same_joints", same, "which has the same joints; they are used"),
        ("several_categories", jointed, "which has other joints; they are left out"),
        ("other_categories", rest, "which is not people; they are left out"),
    ):
        titles = [str(others[number].get("name", number)) for number in numbers]
        count, total = sum(used[number] for number in numbers), sum(used.values())
        shown = ", ".join(map(repr, titles[:5])) + (", …" if len(titles) > 5 else "")
        tail = tail if len(titles) == 1 else tail.replace("has", "have").replace("is not", "are not")
        what = f"categor{'y' if len(titles) == 1 else 'ies'} {shown}"
        remarks.whole(code, titles, f"{count} of {total} annotations are in {what}, {tail}")

"""Rows of tables, long or wide, as frames of poses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import Options, made, matching, real, state_name, whole
from lightpose.results import Poses
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import FloatArray

__all__ = ["frames_of_long", "frames_of_wide"]

Row = Mapping[str, Any]
Rows = Iterable[tuple[str, Row]]
"""Rows of a table, each with where it is, such as poses.csv:12. A field is text or a value; "" or None is unknown."""


def _empty(value: object) -> bool:
    return value is None or value == "" or value != value


def frames_of_long(rows: Rows, options: Options, skeleton: Skeleton | None = None) -> Iterator[Poses]:
    """The frames of a long table, whose rows of a frame follow each other. skeleton: that of the first person if not
    given."""
    waiting: list[tuple[int, list[tuple[str, Row]]]] = []
    for frame, group in groupby(rows, lambda each: whole(each[1]["frame"], f"{each[0]}: frame")):
        waiting.append((frame, list(group)))
        skeleton = skeleton or _joints_of(waiting[-1][1])
        if skeleton is not None:
            yield from (_long_frame(number, each, skeleton, options) for number, each in waiting)
            waiting = []
    yield from (_long_frame(number, each, COCO17, options) for number, each in waiting)  # nobody is in any


def _joints_of(rows: list[tuple[str, Row]]) -> Skeleton | None:
    first = next((row for _, row in rows if not _empty(row["person"])), None)
    if first is None:
        return None
    names = [str(row["joint"]) for _, row in rows if row["person"] == first["person"]]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{rows[0][0]}: person {first['person']} has the joint {twice!r} twice in a frame; leave one out"
        )
    return matching(tuple(names))


def _long_frame(frame: int, rows: list[tuple[str, Row]], skeleton: Skeleton, options: Options) -> Poses:
    place = {joint: number for number, joint in enumerate(skeleton.joints)}
    people: dict[int, int] = {}
    states: list[str] = []
    values: list[FloatArray] = []
    for where, row in rows:
        if _empty(row["person"]):
            continue
        person = whole(row["person"], f"{where}: person")
        if person not in people:
            people[person] = len(people)
            states.append("detected" if _empty(row.get("state")) else state_name(row["state"], where))
            values.append(np.full((len(skeleton), 6), np.nan, np.float32))
        joint = place.get(str(row["joint"]))
        if joint is None:
            raise DataError(f"{where}: the joint {str(row['joint'])[:40]!r} is not one of the first person's")
        one = values[people[person]]
        if np.isfinite(one[joint, 5]):
            raise DataError(
                f"{where}: person {person} has the joint {row['joint']!r} twice in frame {frame}; leave one out"
            )
        one[joint] = (
            *(real(row.get(name), f"{where}: {name}", True) for name in ("x", "y", "score", "x_raw", "y_raw")),
            1,
        )
    stack = np.array(values, np.float32).reshape(-1, len(skeleton), 6)
    short = next((key for key, number in people.items() if np.isnan(stack[number, :, 5]).any()), None)
    if short is not None:
        lost = skeleton.joints[int(np.isnan(stack[people[short], :, 5]).argmax())]
        raise DataError(
            f"{rows[0][0]}: person {short} lacks the joint {lost!r} in frame {frame}; write it with x and y empty"
        )
    raw = np.concatenate([stack[..., 3:5], stack[..., 2:3]], -1) if np.isfinite(stack[..., 3:5]).any() else None
    return made(
        stack[..., :3], skeleton, states=np.array(states), raw_keypoints=raw, **_common(frame, rows[0], people, options)
    )


def _common(frame: int, first: tuple[str, Row], people: Iterable[int], options: Options) -> dict[str, Any]:
    """What is told of a whole frame."""
    where, row = first
    time_s = real(row.get("time_s"), f"{where}: time_s", True)
    ids = list(people)
    if 0 < sum(each < 0 for each in ids) < len(ids):
        raise DataError(f"{where}: some people have numbers below 0, as those who were not tracked, and some have not")
    return {
        "name": str(row.get("source") or ""),
        "frame": frame,
        "time_s": options.time_s(frame) if np.isnan(time_s) else time_s,
        "ids": None if any(each < 0 for each in ids) else np.array(ids, np.int64),
        "image_hw": options.image_hw,
    }


def frames_of_wide(rows: Rows, joints: tuple[str, ...], options: Options) -> Iterator[Poses]:
    """The frames of a wide table, whose rows of a frame follow each other."""
    skeleton = matching(joints)
    names = [f"{joint}_{what}" for joint in joints for what in ("x", "y", "score")]
    box = ("left", "top", "width", "height")
    for frame, group in groupby(rows, lambda each: whole(each[1]["frame"], f"{each[0]}: frame")):
        found = list(group)
        people = [(where, row) for where, row in found if not _empty(row["person"])]
        ids = [whole(row["person"], f"{where}: person") for where, row in people]
        if len(set(ids)) < len(ids):
            twice = next(each for each in ids if ids.count(each) > 1)
            raise DataError(f"{found[0][0]}: person {twice} is twice in frame {frame}; leave one out")
        keypoints = [[real(row.get(n), f"{where}: {n}", True) for n in names] for where, row in people]
        boxed = all(not _empty(row.get(name)) for _, row in people for name in box)
        scored = all(not _empty(row.get("person_score")) for _, row in people)
        yield made(
            np.array(keypoints, np.float32).reshape(-1, len(joints), 3),
            skeleton,
            boxes=np.array([[real(r[n], f"{w}: {n}") for n in box] for w, r in people]).reshape(-1, 4)
            if boxed
            else None,
            scores=np.array([real(r["person_score"], f"{w}: person_score") for w, r in people]) if scored else None,
            states=np.array(
                ["detected" if _empty(r.get("state")) else state_name(r["state"], w) for w, r in people], np.str_
            ),
            **_common(frame, found[0], ids, options),
        )

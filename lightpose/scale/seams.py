"""Who is who on both sides of a seam between two parts of a video: the same frames, looked at twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.ops.assignment import assign
from lightpose.ops.boxes import iou, to_xyxy
from lightpose.results import Poses

__all__ = ["Sights", "joined_ids", "same_people"]

_KEPT = 8
"""Sights of each person that are kept, the last ones: so many tell people apart, and a part stays small."""

SAME = 0.5
"""Least overlap, in the mean, of the boxes of one person."""

_PLACES = 2


@dataclass
class Sights:
    """Where people were last seen before a seam, by their ids within one part.

    by_id: for each person rows of time_s, left, top, width, height.
    """

    by_id: dict[int, deque[list[float]]] = field(default_factory=dict)

    def add(self, poses: Poses) -> None:
        """Take a frame, with ids."""
        if poses.ids is None:
            return
        for person, box in zip(poses.ids.tolist(), poses.boxes.xywh.astype(np.float64).round(_PLACES), strict=True):
            self.by_id.setdefault(person, deque(maxlen=_KEPT)).append([float(poses.time_s or 0.0), *box.tolist()])

    def to_json(self) -> dict[str, list[list[float]]]:
        """What `same_people` takes."""
        return {str(person): list(rows) for person, rows in sorted(self.by_id.items())}


def same_people(before: Mapping[str, Sequence[Any]], after: Mapping[str, Sequence[Any]]) -> dict[int, int]:
    """For people of the part after a seam, who they are in the part before: pairs that overlap most, all at once.

    before: the last sights of the part before the seam; after: of the same frames, those of the other part.
    """
    times = sorted({row[0] for side in (before, after) for rows in side.values() for row in rows})
    mine, theirs = _boxes(before, times), _boxes(after, times)
    overlap = iou(to_xyxy(mine), to_xyxy(theirs))  # (times, people before, people after)
    both = np.isfinite(overlap)
    total = np.where(both, overlap, 0.0).sum(0)
    good = np.where(total >= SAME * np.maximum(both.sum(0), 1), total, 0.0)
    rows, columns = assign(-good)
    names = list(map(int, before)), list(map(int, after))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {names[1][column]: names[0][row] for row, column in pairs if good[row, column] > 0}


def joined_ids(
    people: Sequence[int], same: Mapping[int, int], before: Mapping[int, int], count: int
) -> tuple[dict[int, int], int]:
    """The ids over the whole video of the people of a part, and how many people there are up to its end.

    people: ids within the part, rising, of who has rows. same: as `same_people` gives it. before: the ids of the part
    before. count: of people up to there; new ones follow.
    """
    known = {person: before[same[person]] for person in people if same.get(person) in before}
    new = [person for person in people if person not in known]
    return {**known, **{person: count + number for number, person in enumerate(new, start=1)}}, count + len(new)


def _boxes(side: Mapping[str, Sequence[Any]], times: Sequence[float]) -> NDArray[np.float64]:
    """Boxes (times, people, 4), NaN where a person has none."""
    place = {time_s: number for number, time_s in enumerate(times)}
    boxes = np.full((len(times), len(side), 4), np.nan)
    for number, rows in enumerate(side.values()):
        for time_s, *box in rows:
            boxes[place[time_s], number] = box
    return boxes

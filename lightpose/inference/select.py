"""Which of the people in a frame are kept."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError
from lightpose.results import Poses

__all__ = ["Which", "at_most", "one_person"]

Which = Literal["largest", "first"] | int
"""Of the people: who has the largest box, who has the lowest id, or who has this id."""


def at_most(poses: Poses, count: int) -> Poses:
    """The people with the largest boxes, in the order that they had. Raises ConfigError if the count is below 1."""
    if count < 1:
        raise ConfigError(f"{count} people at most is nobody; keep 1 or more")
    areas = poses.boxes.xywh[:, 2:].astype(np.float64).prod(1)
    return poses[np.sort(np.argsort(-areas, kind="stable")[:count])]


def one_person(poses: Poses, which: Which) -> Poses:
    """One person, or nobody where that one is not in the frame.

    which: `largest`; `first`, the lowest id, or the first in order where nobody was tracked; or an id. Raises
    ConfigError for anything else, or for an id where nobody was tracked.
    """
    if which == "largest":
        return at_most(poses, 1)
    if which == "first":
        return poses[:1] if poses.ids is None else poses[np.argsort(poses.ids, kind="stable")[:1]]
    if isinstance(which, bool) or not isinstance(which, int):
        raise ConfigError(f"person {which!r} is unknown; use largest, first or an id")
    if poses.ids is None:
        raise ConfigError(f"person {which} needs people with ids; track them, or use largest or first")
    chosen: NDArray[np.intp] = np.flatnonzero(poses.ids == which)
    return poses[chosen]

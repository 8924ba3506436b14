"""Which of the people in a frame are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError
from lightpose.results import Poses
from lightpose.types import ImageArray

__all__ = ["Selection", "Which", "at_most", "one_person"]

Which = Literal["largest", "first"] | int
"""Of the people: who has the largest box, who has the lowest id, or who has this id."""


def _check_count(count: int) -> None:
    """Raise ConfigError unless so many people can be kept."""
    if count < 1:
        raise ConfigError(f"{count} people at most is nobody; keep 1 or more")


def at_most(poses: Poses, count: int) -> Poses:
    """The people with the largest boxes, in the order that they had. Raises ConfigError if the count is below 1."""
    _check_count(count)
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


@dataclass(frozen=True)
class Selection:
    """Keeps some people of each frame, as a stage of `predict_video`.

    person: keep this one alone, as `one_person` does. max_people: keep so many at most, the largest. None keeps all.
    Raises ConfigError for what they do not take.
    """

    person: Which | None = None
    max_people: int | None = None

    def __post_init__(self) -> None:
        if self.max_people is not None:
            _check_count(self.max_people)

    def update(self, poses: Poses, time_s: float, image: ImageArray | None = None) -> Poses:  # noqa: ARG002
        """The people of a frame who are kept."""
        kept = poses if self.person is None else one_person(poses, self.person)
        return kept if self.max_people is None else at_most(kept, self.max_people)

    def state(self) -> dict[str, Any]:
        """Nothing is remembered."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing is to be remembered."""

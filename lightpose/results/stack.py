"""Frames of poses, one after another, as the arrays of tracks."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, DataError
from lightpose.results.poses import STATES, Poses
from lightpose.types import FloatArray

__all__ = ["Stack"]

MOST_BYTES = 4 * 2**30
"""Of the joints of tracks; an hour of 30 frames a second with 10 people takes 0.22 GB."""

TOGETHER = 256
"""Frames whose people are put into one array while more come."""

DETECTED, FILLED = STATES.index("detected"), STATES.index("filled")


class Stack:
    """Takes frames, and knows then how large the arrays are. See `Tracks.from_frames`.

    Frames that were taken are kept as a few arrays, in a fifth of their own memory.
    """

    def __init__(self, frames: Iterable[Poses] = ()) -> None:
        self._places: dict[int, int] = {}
        self._columns, self._counts, self._numbers = array("q"), array("q"), array("q")
        self._times = array("d")
        self._names: list[str] = []
        self._sizes: set[tuple[int, int] | None] = set()
        self._first: Poses | None = None
        self._last: Poses | None = None
        self._waiting: list[Poses] = []
        self._parts: list[_Part] = []
        self._tracked = True
        for poses in frames:
            self.add(poses)

    def add(self, poses: Poses) -> None:
        """Take the next frame. Raises DataError if it cannot follow the last."""
        place = len(self._counts)
        self._check(poses, place)
        self._columns.extend(self._places.setdefault(each, len(self._places)) for each in _ids(poses, place))
        self._counts.append(len(poses))
        self._numbers.append(_number(poses, place))
        self._times.append(np.nan if poses.time_s is None else poses.time_s)
        self._names.append(poses.name)
        self._sizes.add(poses.image_hw)
        self._tracked &= poses.ids is not None or not len(poses)
        self._first, self._last = poses if self._first is None else self._first, poses
        self._waiting.append(poses)
        if len(self._waiting) == TOGETHER:
            self._parts.append(_part(self._waiting))
            self._waiting = []

    def _check(self, poses: Poses, number: int) -> None:
        first, last = self._first, self._last
        if first is None or last is None:
            return
        if poses.skeleton.joints != first.skeleton.joints:
            raise DataError(f"frame {_number(poses, number)} has other joints than the first; read them apart")
        if _number(poses, number) <= _number(last, number - 1):
            raise DataError(
                f"frame {_number(poses, number)} comes after frame {_number(last, number - 1)}; numbers must rise"
            )
        if poses.time_s is not None and last.time_s is not None and poses.time_s <= last.time_s:
            raise DataError(f"frame {_number(poses, number)} at {poses.time_s} s is not after one at {last.time_s} s")

    def arrays(self) -> dict[str, Any]:
        """The fields of `Tracks`."""
        if self._first is None:
            raise DataError("there is no frame at all; give a file that has one")
        count, people, joints = len(self._counts), len(self._places), len(self._first.skeleton)
        if 12 * count * people * joints > MOST_BYTES:
            raise ConfigError(f"{count} frames with {people} people take more than 4 GB; read a part, such as end_s=60")
        parts = [*self._parts, *([_part(self._waiting)] if self._waiting else [])]
        keypoints = np.full((count, people, joints, 3), np.nan, np.float32)
        raw = keypoints.copy() if any(part.raw is not None for part in parts) else None
        scores, boxes = np.full((count, people), np.nan, np.float32), np.full((count, people, 5), np.nan, np.float32)
        state = np.zeros((count, people), np.uint8)
        rows, columns, start = np.repeat(np.arange(count), self._counts), np.array(self._columns, np.int64), 0
        for part in parts:
            end = start + len(part.scores)
            at = rows[start:end], columns[start:end]
            keypoints[at], scores[at], boxes[at], state[at] = part.keypoints, part.scores, part.boxes, part.state
            if raw is not None:
                raw[at] = _as_found(part.keypoints, part.state) if part.raw is None else part.raw
            start = end
        return {
            "keypoints": keypoints,
            "skeleton": self._first.skeleton,
            "frame": np.array(self._numbers, np.int64),
            "time_s": np.array(self._times, np.float64),
            "ids": np.array(list(self._places), np.int64),
            "state": state,
            "scores": scores,
            "boxes": boxes,
            "raw": raw,
            "image_hw": self._first.image_hw if len(self._sizes) == 1 else None,
            "names": tuple(self._names[:1] if len(set(self._names)) == 1 else self._names),
            "tracked": self._tracked,
            "about": self._first.about,
        }


@dataclass(frozen=True)
class _Part:
    """The M people of some frames, one after the other: (M, K, 3), (M,), (M, 5), (M,), and (M, K, 3) if there are."""

    keypoints: FloatArray
    scores: FloatArray
    boxes: FloatArray
    state: NDArray[np.uint8]
    raw: FloatArray | None


def _part(frames: Sequence[Poses]) -> _Part:
    states = [
        [DETECTED] * len(each) if each.states is None else [STATES.index(name) for name in each.states.tolist()]
        for each in frames
    ]
    state = np.array([code for each in states for code in each], np.uint8)
    keypoints = np.concatenate([each.keypoints for each in frames])
    boxes = np.concatenate([np.concatenate([each.boxes.xywh, each.boxes.scores[:, None]], 1) for each in frames])
    raw = None
    if any(each.raw_keypoints is not None for each in frames):
        raws = [keypoints[:0] if each.raw_keypoints is None else each.raw_keypoints for each in frames]
        has_raw = np.repeat([each.raw_keypoints is not None for each in frames], [len(each) for each in frames])
        raw = _as_found(keypoints, state)
        raw[has_raw] = np.concatenate(raws)
    return _Part(keypoints, np.concatenate([each.scores for each in frames]), boxes, state, raw)


def _as_found(keypoints: FloatArray, state: NDArray[np.uint8]) -> FloatArray:
    """Joints before smoothing where nobody smoothed them: none of who was filled in."""
    return np.where((state == FILLED)[:, None, None], np.float32(np.nan), keypoints)


def _number(poses: Poses, place: int) -> int:
    return place if poses.frame is None else poses.frame


def _ids(poses: Poses, place: int) -> list[int]:
    """The ids of a frame; places from 1 where there are none."""
    if poses.ids is None:
        return list(range(1, len(poses) + 1))
    ids: list[int] = poses.ids.tolist()
    if len(set(ids)) < len(ids):
        twice = next(each for each in ids if ids.count(each) > 1)
        raise DataError(f"frame {_number(poses, place)} has person {twice} twice; each id must be there once")
    return ids

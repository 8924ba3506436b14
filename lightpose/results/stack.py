"""Frames of poses, one after another, as the arrays of tracks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lightpose.errors import ConfigError, DataError
from lightpose.results.poses import STATES, Poses

__all__ = ["Stack"]

MOST_BYTES = 4 * 2**30
"""Of the joints of tracks; an hour of 30 frames a second with 10 people takes 0.22 GB."""

DETECTED, FILLED = STATES.index("detected"), STATES.index("filled")


class Stack:
    """Takes frames, and knows then how large the arrays are. See `Tracks.from_frames`."""

    def __init__(self, frames: Iterable[Poses]) -> None:
        self._frames: list[Poses] = []
        self._places: dict[int, int] = {}
        for poses in frames:
            self._check(poses)
            for number in _ids(poses, len(self._frames)):
                self._places.setdefault(number, len(self._places))
            self._frames.append(poses)

    def _check(self, poses: Poses) -> None:
        if not self._frames:
            return
        first, last, number = self._frames[0], self._frames[-1], len(self._frames)
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
        if not self._frames:
            raise DataError("there is no frame at all; give a file that has one")
        first, count, people = self._frames[0], len(self._frames), len(self._places)
        joints = len(first.skeleton)
        if 12 * count * people * joints > MOST_BYTES:
            raise ConfigError(f"{count} frames with {people} people take more than 4 GB; read a part, such as end_s=60")
        has_raw = any(poses.raw_keypoints is not None for poses in self._frames)
        keypoints = np.full((count, people, joints, 3), np.nan, np.float32)
        raw = keypoints.copy() if has_raw else None
        scores, boxes = np.full((count, people), np.nan, np.float32), np.full((count, people, 5), np.nan, np.float32)
        state = np.zeros((count, people), np.uint8)
        for number, poses in enumerate(self._frames):
            at = [self._places[each] for each in _ids(poses, number)]
            keypoints[number, at], scores[number, at] = poses.keypoints, poses.scores
            boxes[number, at] = np.concatenate([poses.boxes.xywh, poses.boxes.scores[:, None]], 1)
            state[number, at] = DETECTED if poses.states is None else [STATES.index(each) for each in poses.states]
            if raw is not None:
                own = np.where((state[number, at] == FILLED)[:, None, None], np.nan, poses.keypoints)
                raw[number, at] = own if poses.raw_keypoints is None else poses.raw_keypoints
        names = tuple(poses.name for poses in self._frames)
        sizes = {poses.image_hw for poses in self._frames}
        return {
            "keypoints": keypoints,
            "skeleton": first.skeleton,
            "frame": np.array([_number(poses, n) for n, poses in enumerate(self._frames)], np.int64),
            "time_s": np.array([np.nan if p.time_s is None else p.time_s for p in self._frames], np.float64),
            "ids": np.array(list(self._places), np.int64),
            "state": state,
            "scores": scores,
            "boxes": boxes,
            "raw": raw,
            "image_hw": first.image_hw if len(sizes) == 1 else None,
            "names": names[:1] if len(set(names)) == 1 else names,
            "tracked": all(poses.ids is not None for poses in self._frames if len(poses)),
            "about": first.about,
        }


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

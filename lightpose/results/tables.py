"""Poses as columns: long, a row for each joint, or wide, a row for each person and frame. One definition for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lightpose.results.poses import Poses

__all__ = ["LONG", "WIDE_FIRST", "long_columns", "wide_columns", "wide_names"]

LONG = ("source", "frame", "time_s", "person", "joint", "x", "y", "score", "state", "x_raw", "y_raw")
"""Columns of the long form. A frame without people is one row without person and joint."""

WIDE_FIRST = ("source", "frame", "time_s", "person", "state", "person_score", "left", "top", "width", "height")
"""The first columns of the wide form; each joint has x, y and score after them."""


def wide_names(joints: Sequence[str]) -> tuple[str, ...]:
    """The columns of the wide form."""
    return (*WIDE_FIRST, *(f"{joint}_{what}" for joint in joints for what in ("x", "y", "score")))


def _person(poses: Poses) -> list[int]:
    """The ids; -1, -2, … by the place in the frame where people were not tracked."""
    return [-1 - number for number in range(len(poses))] if poses.ids is None else poses.ids.tolist()


def _states(poses: Poses) -> list[str]:
    return ["detected"] * len(poses) if poses.states is None else poses.states.tolist()


def long_columns(frames: Iterable[Poses]) -> dict[str, Any]:
    """The long form of frames: arrays of numbers, NaN where unknown, and lists of text, None where unknown.

    `person` is a list of whole numbers or None. Of a joint without a place, x and y are NaN.
    """
    columns: dict[str, list[Any]] = {name: [] for name in LONG}
    for poses in frames:
        count, joints = len(poses), len(poses.skeleton)
        rows = max(count * joints, 1)
        columns["source"] += [poses.name] * rows
        columns["frame"].append(np.full(rows, 0 if poses.frame is None else poses.frame, np.int64))
        columns["time_s"].append(np.full(rows, np.nan if poses.time_s is None else poses.time_s))
        columns["person"] += [each for each in _person(poses) for _ in range(joints)] or [None]
        columns["joint"] += list(poses.skeleton.joints) * count or [None]
        columns["state"] += [each for each in _states(poses) for _ in range(joints)] or [None]
        raw = np.full_like(poses.keypoints, np.nan) if poses.raw_keypoints is None else poses.raw_keypoints
        values = np.concatenate([poses.keypoints, raw[..., :2]], -1).reshape(-1, 5)
        for name, column in zip(("x", "y", "score", "x_raw", "y_raw"), values.T, strict=True):
            columns[name].append(column if count else np.full(1, np.nan, np.float32))
    return _joined(columns)


def wide_columns(frames: Iterable[Poses]) -> dict[str, Any]:
    """The wide form of frames, of one skeleton, in the same way."""
    columns: dict[str, list[Any]] = {}
    for poses in frames:
        count, rows = len(poses), max(len(poses), 1)
        names = wide_names(poses.skeleton.joints)
        columns = columns or {name: [] for name in names}
        columns["source"] += [poses.name] * rows
        columns["frame"].append(np.full(rows, 0 if poses.frame is None else poses.frame, np.int64))
        columns["time_s"].append(np.full(rows, np.nan if poses.time_s is None else poses.time_s))
        columns["person"] += _person(poses) or [None]
        columns["state"] += _states(poses) or [None]
        joints = poses.keypoints.reshape(count, 3 * len(poses.skeleton))
        values = np.concatenate([poses.scores[:, None], poses.boxes.xywh, joints], 1) if count else None
        for number, name in enumerate(names[WIDE_FIRST.index("person_score") :]):
            columns[name].append(np.full(1, np.nan, np.float32) if values is None else values[:, number])
    return _joined(columns)


def _joined(columns: dict[str, list[Any]]) -> dict[str, Any]:
    texts = ("source", "person", "joint", "state")
    return {
        name: values if name in texts else (np.concatenate(values) if values else np.zeros(0))
        for name, values in columns.items()
    }

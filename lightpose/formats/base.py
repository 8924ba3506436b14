"""What all formats share: how one is read and written, and poses made from what a file holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, DataError
from lightpose.ops.joints import as_joints, missing
from lightpose.results import STATES, Boxes, Poses
from lightpose.skeletons import BODY25, COCO17, HALPE26, Skeleton
from lightpose.types import FloatArray, ImageArray

__all__ = [
    "HIDDEN",
    "SKELETONS_OUT",
    "SURE",
    "JointsName",
    "Options",
    "Writer",
    "by_count",
    "facts",
    "image_name",
    "made",
    "matching",
    "real",
    "state_name",
    "text_of",
    "visibility",
    "whole",
    "with_joints",
]

SURE = 0.2
"""From this score on a joint is drawn, and is visible to annotation tools; below, it is hidden; at 0, not labelled."""
HIDDEN = 0.1
"""The score that a joint gets which a file calls hidden."""

JointsName = Literal["coco17", "body25", "halpe26"]
"""Lists of joints that others expect."""

COCO18 = Skeleton(
    "coco18",
    ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
     "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
     "right_ear", "left_ear"),
)  # fmt: skip
"""OpenPose's COCO of 18 joints, which ControlNet reads; the same page has its order."""

SKELETONS_OUT: dict[str, Skeleton] = {each.name: each for each in (COCO17, BODY25, HALPE26)}
_BY_COUNT = {len(each): each for each in (COCO17, COCO18, BODY25, HALPE26)}


@dataclass(frozen=True)
class Options:
    """What files do not say. fps: frames a second, for formats without times. image_hw: of formats without it.

    height_m: the person's height, for formats in metres; pixels if not given. images: the folder of the images, by
    which YOLO-pose tells its parts. labelled: only what people have labelled, no predictions. notes: readers add to it
    what they left out, a line each.
    """

    fps: float | None = None
    image_hw: tuple[int, int] | None = None
    height_m: float | None = None
    images: Path | None = None
    labelled: bool = False
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < 1e6:
            raise ConfigError(f"fps must be frames a second, above 0, not {self.fps}")

    def time_s(self, frame: int) -> float | None:
        """The time of a frame, where only `fps` tells it."""
        return None if self.fps is None else frame / self.fps


class Writer(Protocol):
    """Writes frames in their order, and keeps no more of them than the format needs."""

    def write(self, poses: Poses, image: ImageArray | None = None, /) -> None:
        """Take a frame, with its pixels if there are any at hand."""

    def close(self) -> None:
        """Write what is left."""


def made(
    keypoints: NDArray[Any],
    skeleton: Skeleton,
    *,
    boxes: NDArray[Any] | None = None,
    scores: NDArray[Any] | None = None,
    box_scores: NDArray[Any] | None = None,
    **others: Any,
) -> Poses:
    """Poses from what a file holds. keypoints: (N, K, 3); a joint with NaN or infinite x or y is missing.

    Boxes (N, 4) go round the joints if not given; scores are the means of those of the joints.
    """
    joints = np.array(keypoints, np.float32).reshape(-1, len(skeleton), 3)
    gone = missing(joints)
    joints[gone] = np.nan, np.nan, 0
    joints[..., 2] = np.nan_to_num(joints[..., 2], nan=0)
    if boxes is None:
        boxes = np.zeros((len(joints), 4))
        for box, points, absent in zip(boxes, joints[..., :2], gone, strict=True):
            if not absent.all():
                box[:2] = points[~absent].min(0)
                box[2:] = points[~absent].max(0) - box[:2]
    if scores is None:
        scores = joints[..., 2].sum(1) / np.maximum((~gone).sum(1), 1)
    sure = np.ones(len(joints)) if box_scores is None else box_scores
    return Poses(joints, np.array(scores, np.float32), Boxes(np.array(boxes), np.array(sure)), skeleton, **others)


def visibility(keypoints: FloatArray) -> NDArray[np.int64]:
    """(…, K) of joints (…, K, 3): 2 visible, 1 hidden, 0 not labelled, by their scores."""
    known = ~missing(keypoints) & (keypoints[..., 2] > 0)
    return np.where(known, np.where(keypoints[..., 2] >= SURE, 2, 1), 0)


def by_count(count: int, where: str) -> Skeleton:
    """The list of joints that has so many, where a file gives no names. Raises DataError if none has."""
    if count not in _BY_COUNT:
        known = ", ".join(f"{number} ({each.name})" for number, each in sorted(_BY_COUNT.items()))
        raise DataError(
            f"{where}: {count} joints without names are of no known list; name them, or have one of {known}"
        )
    return _BY_COUNT[count]


def matching(names: tuple[str, ...], title: str = "custom") -> Skeleton:
    """A skeleton with those joints: the known one if there is one."""
    return next((each for each in _BY_COUNT.values() if each.joints == names), None) or Skeleton(title, names)


def with_joints(poses: Poses, skeleton: Skeleton) -> Poses:
    """The same people with the joints of another skeleton; see `ops.joints.as_joints`."""
    from dataclasses import replace

    if poses.skeleton.joints == skeleton.joints:
        return poses
    mine, raw = poses.skeleton.joints, poses.raw_keypoints
    return replace(
        poses,
        keypoints=as_joints(poses.keypoints, mine, skeleton.joints),
        raw_keypoints=None if raw is None else as_joints(raw, mine, skeleton.joints),
        skeleton=skeleton,
    )


def image_name(poses: Poses, number: int) -> str:
    """What the image of a frame is called: as it is, or, of a video, with the number of the frame."""
    path = PurePath(poses.name.replace("\\", "/"))
    if poses.time_s is None and path.suffix:
        return str(path)
    return f"{path.stem or 'frame'}_{number if poses.frame is None else poses.frame:06}.jpg"


def real(value: object, where: str, or_none: bool = False) -> float:
    """A finite number from a file; NaN for nothing, if allowed. Raises DataError that says where."""
    if or_none and (value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "na"))):
        return math.nan
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise DataError(f"{where}: {str(value)[:40]!r} is no finite number; correct it, or leave it empty")
    return number


def whole(value: object, where: str) -> int:
    """A whole number from a file. Raises DataError that says where."""
    number = real(value, where)
    if number != int(number) or abs(number) > 2**53:
        raise DataError(f"{where}: {str(value)[:40]!r} is no whole number; correct it")
    return int(number)


def state_name(value: object, where: str) -> str:
    """A state's name. Raises DataError that says where if there is none of that name."""
    if value not in STATES[1:]:
        raise DataError(f"{where}: the state {str(value)[:40]!r} is unknown; it is {', '.join(STATES[1:])}")
    return str(value)


def facts(about: Mapping[str, Any]) -> dict[str, Any]:
    """What of the model's facts a file may keep: plain values."""
    return {key: value for key, value in about.items() if isinstance(value, str | int | float | bool | None | list)}


def text_of(path: Path) -> str:
    """A text file's content. Raises DataError if it cannot be read, or is no text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error

"""When the detector runs in what cannot be looked ahead in, and where people are in the frames between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, LightposeError
from lightpose.ops.boxes import iou, to_xyxy
from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray, Frame

__all__ = ["DetectEvery", "DetectSchedule", "check_every", "scheduled", "with_state"]

DetectEvery = int | Literal["auto"]

SURE_JOINT = 0.2
"""Joints with a lower score do not move a box."""

FALL = 0.7
"""`auto` detects again when the score of a person is below this share of that at the last detection."""

SHORTEST_S, LONGEST_S = 0.12, 1.0
"""How long `auto` goes without the detector: short after a detection that found somebody else than was known, and twice
as long after each that did not."""

SAME = 0.3
"""Least overlap of two boxes of one person."""

EDGE = 0.02
"""`auto` detects again when a box that was inside comes so near to an edge, as a share of the image."""


def check_every(every: object) -> None:
    """Raise ConfigError unless it is a number of frames from 1, or `auto`."""
    if every != "auto" and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
        raise ConfigError(f"every={every!r} is unknown; give a number of frames from 1, or auto")


@dataclass(eq=False)
class DetectSchedule:
    """Says for each frame of one video whether to detect; if not, where the people of the last frame are now.

        boxes = schedule.boxes(frame)
        poses = predict(frame, find(frame) if boxes is None else boxes)
        poses = schedule.seen(frame, poses)

    Between detections a box goes with its joints: it moves and grows as they did. every: detects in one of so many
    frames; `auto`: when a person's score falls, somebody comes to an edge, nobody is there, or some time is over: less
    in a scene that changes, up to a second in one that does not. Raises ConfigError if it is neither.
    """

    every: DetectEvery = 1
    _last: Poses | None = field(default=None, init=False, repr=False)
    _scores: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32), init=False, repr=False)
    _wait_s: float = field(default=SHORTEST_S, init=False, repr=False)
    _detected_s: float = field(default=0.0, init=False, repr=False)
    _frames: int = field(default=0, init=False, repr=False)
    _due: bool = field(default=True, init=False, repr=False)

    def __post_init__(self) -> None:
        check_every(self.every)

    def reset(self) -> None:
        """Begin anew, with a detection."""
        self._last, self._due, self._frames, self._wait_s = None, True, 0, SHORTEST_S

    def boxes(self, frame: Frame) -> Boxes | None:
        """The people of this frame, or None where the detector must find them."""
        last = self._last
        if last is None or self._due or (last.image_hw or frame.image.shape[:2]) != frame.image.shape[:2]:
            return None
        if self.every == "auto" and not 0 <= _time(frame) - self._detected_s < self._wait_s - 1e-9:
            return None
        return last.boxes

    def seen(self, frame: Frame, poses: Poses, choose: Callable[[Poses], NDArray[np.intp]] | None = None) -> Poses:
        """The poses of the frame that count, their boxes moved to their joints if no detector gave them.

        poses: in the order of the boxes that `boxes` gave; after a detection in any order. choose: gives the numbers of
        those that count; others are followed no further. Raises ConfigError if they are not as many as the boxes.
        """
        before, hw = self.boxes(frame), frame.image.shape[:2]
        if before is not None and self._last is not None:
            if len(poses) != len(before):
                raise ConfigError(f"{len(before)} boxes were given for this frame, {len(poses)} poses came back")
            poses = replace(poses, boxes=_moved(self._last, poses, hw))
        chosen = np.arange(len(poses)) if choose is None else choose(poses)
        lost, poses = before is not None and len(chosen) < len(poses), poses[chosen]
        if before is None:
            same = self._last is not None and _same_people(self._last.boxes, poses.boxes)
            self._wait_s = min(2 * self._wait_s, LONGEST_S) if same else SHORTEST_S
            self._scores, self._detected_s, self._frames = poses.scores.copy(), _time(frame), 0
        else:
            before, self._scores = before[chosen], self._scores[chosen]
        self._frames += 1
        if self.every == "auto":
            fallen = lost or bool((poses.scores < FALL * self._scores).any())
            self._due = fallen or not len(poses) or (before is not None and _edge_reached(before, poses.boxes, hw))
        else:
            self._due = self._frames >= self.every
        self._last = replace(poses, image_hw=(int(hw[0]), int(hw[1])))
        return with_state(poses, "detected" if before is None else "carried")

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if there had been no break, ready for JSON."""
        last = self._last
        return {
            "keypoints": None if last is None else last.keypoints.tolist(),
            "boxes": None if last is None else last.boxes.xywh.tolist(),
            "box_scores": None if last is None else last.boxes.scores.tolist(),
            "image_hw": None if last is None or last.image_hw is None else list(last.image_hw),
            "scores": self._scores.tolist(),
            "wait_s": self._wait_s,
            "detected_s": self._detected_s,
            "frames": self._frames,
            "due": self._due,
        }

    def restore(self, state: dict[str, Any], skeleton: Skeleton) -> None:
        """Go on from a `state`, of poses with that skeleton. Raises ConfigError if it is none."""
        try:
            last = None
            if state["keypoints"] is not None:
                keypoints = np.array(state["keypoints"], np.float32).reshape(-1, len(skeleton), 3)
                boxes = Boxes(np.array(state["boxes"], np.float32), np.array(state["box_scores"], np.float32))
                height, width = state["image_hw"]
                scores = np.zeros(len(keypoints), np.float32)
                last = Poses(keypoints, scores, boxes, skeleton, (int(height), int(width)))
            self._last, self._scores = last, np.array(state["scores"], np.float32)
            self._wait_s = float(state["wait_s"])
            self._detected_s, self._frames = float(state["detected_s"]), int(state["frames"])
            self._due = bool(state["due"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"this is no state of a schedule ({error}); take it from its state()") from error


def with_state(poses: Poses, state: str) -> Poses:
    """The poses, all people in one state."""
    return replace(poses, states=np.full(len(poses), state))


def scheduled(
    frames: Iterable[Frame],
    find: Callable[[Frame], Boxes],
    predict: Callable[[Frame, Boxes], Poses],
    choose: Callable[[Poses], NDArray[np.intp]],
    schedule: DetectSchedule,
    failed: Callable[[Frame, LightposeError], None] | None = None,
) -> Iterator[tuple[Frame, Poses]]:
    """Yield each frame with its poses, in order, one at a time: where people are comes from the frame before.

    find: finds the people of a frame. predict: their poses, in the order of the boxes. choose: the numbers of those
    that count. failed: as for `stream`; people are not followed over a frame that cannot be used.
    """
    for frame in frames:
        try:
            boxes, found_ms = schedule.boxes(frame), 0.0
            if boxes is None:
                start_s = time.perf_counter()
                boxes = find(frame)
                found_ms = 1000 * (time.perf_counter() - start_s)
            poses = predict(frame, boxes)
            poses = replace(poses, milliseconds={**poses.milliseconds, "detect": found_ms})
        except LightposeError as error:
            if failed is None:
                raise
            schedule.reset()
            failed(frame, error)
        else:
            yield frame, schedule.seen(frame, poses, choose)


def _moved(before: Poses, now: Poses, image_hw: tuple[int, ...]) -> Boxes:
    """The boxes (N,) of `before`, moved and scaled as the joints were that are sure in both."""
    both = (before.keypoints[..., 2] > SURE_JOINT) & (now.keypoints[..., 2] > SURE_JOINT)
    weight = both[..., None] / np.maximum(both.sum(-1), 1)[:, None, None]
    old, new = (each.keypoints[..., :2].astype(np.float64) for each in (before, now))
    old_center, new_center = (old * weight).sum(1), (new * weight).sum(1)
    old_size, new_size = (
        np.sqrt((((points - center[:, None]) ** 2) * weight).sum((1, 2)))
        for points, center in ((old, old_center), (new, new_center))
    )
    steady = both.sum(-1) < 3  # too few to tell a size by
    scale = np.where(steady, 1.0, np.clip(new_size / np.maximum(old_size, 1e-6), 0.9, 1.1))
    xywh = before.boxes.xywh.astype(np.float64)
    center = xywh[:, :2] + xywh[:, 2:] / 2
    center = new_center + (center - old_center) * scale[:, None]
    size = xywh[:, 2:] * scale[:, None]
    limit = np.array(image_hw[1::-1], np.float64)
    left_top = np.clip(center - size / 2, 1 - size, limit - 1)  # still in the image by a pixel
    return Boxes(np.concatenate([left_top, size], 1).astype(np.float32), before.boxes.scores)


def _same_people(before: Boxes, now: Boxes) -> bool:
    """Whether everybody is in both."""
    overlap = iou(to_xyxy(before.xywh.astype(np.float64)), to_xyxy(now.xywh.astype(np.float64)))
    known = overlap >= SAME
    return bool(known.any(0).all() and known.any(1).all())


def _time(frame: Frame) -> float:
    if frame.time_s is None:
        raise ConfigError("a schedule needs frames with times; a still image has none")
    return frame.time_s


def _edge_reached(before: Boxes, now: Boxes, image_hw: tuple[int, ...]) -> bool:
    was, is_near = (_near_edge(boxes.xywh, image_hw) for boxes in (before, now))
    return bool((is_near & ~was).any())


def _near_edge(xywh: FloatArray, image_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    limit = np.array(image_hw[1::-1], np.float64)
    near = (xywh[:, :2] < EDGE * limit) | (xywh[:, :2] + xywh[:, 2:] > (1 - EDGE) * limit)
    some: NDArray[np.bool_] = np.any(near, axis=-1)
    return some

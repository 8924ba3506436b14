"""Joints that do not tremble: live, frame by frame, or over a whole file with a look ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.errors import ConfigError
from lightpose.limits import FACTORS, check_range
from lightpose.ops.series import butterworth, fill_gaps
from lightpose.results import Poses
from lightpose.types import FloatArray, ImageArray

__all__ = ["Smoother", "butterworth", "fill_gaps"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Joints:
    """One person's joints as they were left: time, points (K, 2), their speeds (K, 2) in pixels a second, person size
    in pixels, and which joints (K,) have been seen at all."""

    time_s: float
    points: Floats
    speeds: Floats
    size: float
    known: NDArray[np.bool_]


@dataclass(eq=False)
class Smoother:
    """Calms the joints of people with ids, live. Feed it what a `Tracker` returns.

        poses = smoother.update(tracker.update(poses, frame.time_s, frame.image), frame.time_s)

    It is the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) for each person and joint: a low pass whose cutoff
    grows with the speed. Speeds are in person sizes a second, so that near and far people are treated alike; a size is
    the square root of a box's area. A joint of low score moves its point less: its score multiplies the step.

    min_hz: cutoff at rest; lower is calmer. beta: hertz for each person size a second; higher lags less. speed_hz:
    cutoff of the speed itself. score_full: from this score on a joint counts in full; 0 turns scores off. forget_s:
    people who were not seen for so long begin anew. Raises ConfigError if a number is out of range.
    """

    min_hz: float = 1.0
    beta: float = 10.0
    speed_hz: float = 1.0
    score_full: float = 0.5
    forget_s: float = 1.0
    _people: dict[int, _Joints] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("min_hz", "speed_hz", "forget_s"):
            check_range(name, getattr(self, name), *FACTORS)
        for name in ("beta", "score_full"):
            check_range(name, getattr(self, name), *FACTORS, or_zero=True)

    def reset(self) -> None:
        """Forget everybody."""
        self._people = {}

    def update(self, poses: Poses, time_s: float, image: ImageArray | None = None) -> Poses:  # noqa: ARG002
        """The same people with calmer points; scores and boxes stay.

        time_s: of the frame, in seconds. image: not looked at. Raises ConfigError if people have no ids, or if the time
        is before that of the last frame or not finite.
        """
        if poses.ids is None:
            raise ConfigError("smoothing needs people with ids; pass the poses through a Tracker first")
        last = max((person.time_s for person in self._people.values()), default=-math.inf)
        if not math.isfinite(time_s) or time_s < last:
            raise ConfigError(f"a frame at {time_s} s came after one at {last} s; reset the smoother in between")
        people = {key: one for key, one in self._people.items() if time_s - one.time_s <= self.forget_s + 1e-6}
        keypoints = poses.keypoints.copy()
        sizes = np.sqrt(np.maximum(poses.boxes.xywh[:, 2:].astype(np.float64).prod(1), 1e-6))
        for number, key in enumerate(poses.ids.tolist()):  # each has a state of its own
            before = people.get(key)
            if before is not None and len(before.points) != keypoints.shape[1]:
                before = None
            people[key] = self._step(before, poses.keypoints[number], float(sizes[number]), float(time_s))
            keypoints[number, :, :2] = np.where(
                people[key].known[:, None], people[key].points, poses.keypoints[number, :, :2]
            )
        self._people = people
        return replace(
            poses,
            keypoints=keypoints,
            raw_keypoints=poses.keypoints if poses.raw_keypoints is None else poses.raw_keypoints,
        )

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if there had been no break, ready for JSON."""
        return {
            "people": [
                {
                    "id": key,
                    "time_s": one.time_s,
                    "points": one.points.tolist(),
                    "speeds": one.speeds.tolist(),
                    "size": one.size,
                    "known": one.known.tolist(),
                }
                for key, one in self._people.items()
            ]
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`. Raises ConfigError if it is none."""
        try:
            self._people = {
                int(one["id"]): _Joints(
                    float(one["time_s"]),
                    np.array(one["points"], np.float64).reshape(-1, 2),
                    np.array(one["speeds"], np.float64).reshape(-1, 2),
                    float(one["size"]),
                    np.array(one["known"], bool),
                )
                for one in state["people"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"this is no state of a smoother ({error}); take it from Smoother.state()") from error

    def _step(self, before: _Joints | None, keypoints: FloatArray, size: float, time_s: float) -> _Joints:
        seen = keypoints.astype(np.float64)
        usable = np.isfinite(seen).all(-1) & (seen[:, 2] > 0)
        points = np.where(usable[:, None], seen[:, :2], 0.0)
        if before is None:
            return _Joints(time_s, points, np.zeros_like(points), size, usable)
        passed = time_s - before.time_s
        if passed <= 0:
            return before
        weight = np.ones(len(points)) if self.score_full == 0 else np.minimum(seen[:, 2] / self.score_full, 1.0)
        weight = np.where(usable & before.known, weight, 0.0)[:, None]
        raw = (points - before.points) / passed
        speeds = before.speeds + weight * _step_share(self.speed_hz, passed) * (raw - before.speeds)
        cutoff = self.min_hz + self.beta * np.linalg.norm(speeds, axis=-1, keepdims=True) / size
        moved = before.points + weight * _step_share(cutoff, passed) * (points - before.points)
        fresh = (usable & ~before.known)[:, None]
        return _Joints(
            time_s, np.where(fresh, points, moved), np.where(fresh, 0.0, speeds), size, before.known | usable
        )


def _step_share(hz: ArrayLike, passed_s: float) -> Floats:
    """How much of the way to a new value a low pass goes: 1 / (1 + tau / T) with tau = 1 / (2 pi hz)."""
    around = 2 * np.pi * np.asarray(hz, np.float64) * passed_s
    share: Floats = around / (1 + around)
    return share

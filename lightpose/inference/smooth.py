"""Joints that do not tremble: live, frame by frame, or over a whole file with a look ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.errors import ConfigError, ShapeError
from lightpose.limits import FACTORS, check_range
from lightpose.results import Poses
from lightpose.types import FloatArray

__all__ = ["Smoother", "butterworth", "fading", "fill_gaps", "runs", "zero_phase"]

Floats = NDArray[np.float64]

LONGEST_STEP = 0.45
"""Of a cycle: what a step between two frames counts at most, where stamps are far apart."""


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

        poses = smoother.update(tracker.update(poses, frame.time_s), frame.time_s)

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

    def update(self, poses: Poses, time_s: float) -> Poses:
        """The same people with calmer points; scores and boxes stay.

        time_s: of the frame, in seconds. Raises ConfigError if people have no ids, or if the time is before that of the
        last frame or not finite.
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
        return replace(poses, keypoints=keypoints, raw=poses.keypoints if poses.raw is None else poses.raw)

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


def butterworth(points: ArrayLike, time_s: ArrayLike, hz: float = 6.0) -> Floats:
    """Points without lag and tremble: a Butterworth low pass of 2nd order, run forwards and backwards (Winter, 2009).

    points: (T, …), such as (T, K, 2); NaN where there are none: each stretch between is filtered alone, and a joint
    through its own gaps only. time_s: (T,), rising, evenly or not. hz: at this frequency half the amplitude is left.
    Returns (T, …). Raises ShapeError if the lengths differ, ConfigError if times do not rise or the frames are too few
    a second for that frequency.
    """
    values, times = _series(points, time_s)
    if len(times) < 2:
        return values
    step_s = float(np.median(np.diff(times)))
    if not (math.isfinite(hz) and 0 < hz < 0.5 / step_s):
        raise ConfigError(f"{hz} Hz needs over {2 * hz:g} frames a second, here are {1 / step_s:.4g}; choose fewer Hz")
    flat = values.reshape(len(values), -1)
    result = flat.copy()
    masks, kinds = np.unique(np.isfinite(flat), axis=1, return_inverse=True)
    for number, mask in enumerate(masks.T):  # all series that have the same gaps go together
        columns = np.flatnonzero(kinds.reshape(-1) == number)
        for start, end in runs(mask):
            result[start:end, columns] = zero_phase(flat[start:end, columns], times[start:end], hz)
    return result.reshape(values.shape)


def fill_gaps(points: ArrayLike, time_s: ArrayLike, max_gap_s: float = 0.3) -> tuple[Floats, NDArray[np.bool_]]:
    """Points on a straight line through short gaps, and which ones they are.

    points: (T, …), NaN where a joint was not seen. time_s: (T,), rising. max_gap_s: longest time between the two sights
    around a gap. Returns the points and a mask, both (T, …). Gaps at the ends stay. Raises as `butterworth` does.
    """
    values, times = _series(points, time_s)
    flat = values.reshape(len(values), -1)
    filled, mask = flat.copy(), np.zeros(flat.shape, bool)
    for series, out, marked in zip(flat.T, filled.T, mask.T, strict=True):
        seen = np.isfinite(series)
        for start, end in runs(~seen):
            if start and end < len(times) and times[end] - times[start - 1] <= max_gap_s + 1e-6:
                marked[start:end] = True
        out[marked] = np.interp(times[marked], times[seen], series[seen]) if marked.any() else out[marked]
    return filled.reshape(values.shape), mask.reshape(values.shape)


def _series(points: ArrayLike, time_s: ArrayLike) -> tuple[Floats, Floats]:
    values, times = np.array(points, np.float64), np.asarray(time_s, np.float64)
    if values.ndim < 1 or times.shape != values.shape[:1]:
        raise ShapeError(f"{values.shape[:1]} points need as many times; got shape {times.shape}")
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise ConfigError("times must be finite and rise from frame to frame")
    return values, times


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end of each stretch where the mask (T,) holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def zero_phase(series: Floats, times: Floats, hz: float) -> Floats:
    """Finite series (T, M) as `butterworth` gives them, unchecked; fewer than 3 values stay as they are.

    The ends are mirrored through their last points, so that these hold still.
    """
    if len(series) < 3:
        return series
    pad = min(9, len(series) - 1)  # three times the filter's length
    longer, stamps = (
        np.concatenate([2 * each[:1] - each[pad:0:-1], each, 2 * each[-1:] - each[-2 : -pad - 2 : -1]])
        for each in (series, times)
    )
    turns = _turns(np.diff(stamps), hz)
    forwards = _filtered(longer, turns)
    return _filtered(forwards[::-1], turns[::-1])[::-1][pad : pad + len(series)]


def fading(step_s: float, hz: float) -> float:
    """By how many powers of e the filter forgets what was before, in a step between two frames."""
    turn = float(_turns(np.array([step_s]), hz)[0])
    return -0.5 * math.log((1 - math.sqrt(2) * turn + turn**2) / (1 + math.sqrt(2) * turn + turn**2))


def _turns(steps_s: Floats, hz: float) -> Floats:
    turns: Floats = np.tan(np.pi * np.minimum(hz * steps_s, LONGEST_STEP))
    return turns


def _filtered(series: Floats, turns: Floats) -> Floats:
    """One pass over series (T, M), begun as if the first value had always been there.

    turns: (T - 1,) tan(pi hz step). It is y'' = w² (x - y) - sqrt(2) w y' by the trapezoid rule, with w such that the
    filter meets its frequency at each step: for even steps the usual digital filter, and good for uneven ones too.
    """
    result = series.copy()
    speed = np.zeros(series.shape[1])
    pushes = series[1:] + series[:-1]
    gains = 1 / (1 + math.sqrt(2) * turns + turns**2)
    for n, (turn, gain) in enumerate(zip(turns.tolist(), gains.tolist(), strict=True)):
        both = gain * (2 * speed + turn * (pushes[n] - 2 * result[n]))
        result[n + 1] = result[n] + turn * both
        speed = both - speed
    return result

"""Series of points over time: a low pass without lag, and gaps filled. Arrays only."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.errors import ConfigError, ShapeError

__all__ = ["butterworth", "derivative", "fading", "fill_gaps", "filtered", "runs", "unwrapped", "zero_phase"]

Floats = NDArray[np.float64]

LONGEST_STEP = 0.45
"""Of a cycle: what a step between two frames counts at most, where stamps are far apart."""


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
    return filtered(values, times, hz)


def filtered(values: Floats, times: Floats, hz: float) -> Floats:
    """Series (T, …) as `butterworth` gives them, unchecked."""
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


def derivative(values: ArrayLike, time_s: ArrayLike) -> Floats:
    """Change a second, from the values before and after (second order, uneven steps too), one-sided at the ends.

    values: (T, …), NaN where unknown; no difference is taken across such places. Returns (T, …); NaN where a value is
    alone. Raises as `butterworth` does.
    """
    series, times = _series(values, time_s)
    flat = series.reshape(len(series), -1)
    result = np.full(flat.shape, np.nan)
    for each, out in zip(flat.T, result.T, strict=True):
        for start, end in runs(np.isfinite(each)):
            if end - start > 1:
                out[start:end] = np.gradient(each[start:end], times[start:end])
    return result.reshape(series.shape)


def unwrapped(degrees: ArrayLike, turn: float = 360.0) -> Floats:
    """Angles (T, …) in degrees without jumps of whole turns, each stretch between NaN by itself."""
    values = np.array(degrees, np.float64)
    flat = values.reshape(len(values), -1)
    for series in flat.T:
        for start, end in runs(np.isfinite(series)):
            series[start:end] = np.unwrap(series[start:end], period=turn)
    return flat.reshape(values.shape)

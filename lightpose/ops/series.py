"""Series of points over time: a low pass without lag, and gaps filled. Arrays only."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.errors import ConfigError, ShapeError

__all__ = ["butterworth", "derivative", "fill_gaps", "unwrapped"]

Floats = NDArray[np.float64]


def butterworth(points: ArrayLike, time_s: ArrayLike, hz: float = 6.0) -> Floats:
    """Low pass of a whole file's points that shifts nothing in time: a Butterworth filter of 2nd order run forwards and
    backwards, together of 4th, as biomechanics has it (Winter, Biomechanics and Motor Control, 2009).

    points: (T, …), any number of series; NaN where a joint was not seen: the parts in between are filtered alone.
    time_s: (T,), rising; uneven stamps are filtered on an even grid of their median distance. hz: at this frequency
    half the amplitude is left. Returns (T, …). Raises ShapeError if the lengths differ, ConfigError if times do not
    rise or the frames are too few a second for that frequency.
    """
    values, times = _series(points, time_s)
    if len(times) < 2:
        return values
    step_s = float(np.median(np.diff(times)))
    if not (math.isfinite(hz) and 0 < hz < 0.5 / step_s):
        raise ConfigError(f"{hz} Hz needs over {2 * hz:g} frames a second, here are {1 / step_s:.4g}; choose fewer Hz")
    even = bool(np.abs(np.diff(times) - step_s).max() < 0.001 * step_s)
    grid = times if even else np.linspace(times[0], times[-1], round((times[-1] - times[0]) / step_s) + 1)
    flat = values.reshape(len(values), -1)
    result = flat.copy()
    rate = (len(grid) - 1) / (grid[-1] - grid[0])
    for series, out in zip(flat.T, result.T, strict=True):
        for start, end in _runs(np.isfinite(series)):
            inside = grid[(grid >= times[start]) & (grid <= times[end - 1])]
            if end - start < 3 or len(inside) < 3:
                continue
            if even:
                out[start:end] = _both_ways(series[start:end], hz, rate)
            else:
                calm = _both_ways(np.interp(inside, times[start:end], series[start:end]), hz, rate)
                out[start:end] = np.interp(times[start:end], inside, calm)
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
        for start, end in _runs(~seen):
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


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end of each stretch where the mask (T,) holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _both_ways(series: Floats, hz: float, rate: float) -> Floats:
    """Filtered forwards and backwards, with ends mirrored through their last points, so that these hold still."""
    pad = min(9, len(series) - 1)  # three times the filter's length
    longer = np.concatenate([2 * series[0] - series[pad:0:-1], series, 2 * series[-1] - series[-2 : -pad - 2 : -1]])
    tangent = math.tan(math.pi * hz / rate)
    scale = 1 / (1 + math.sqrt(2) * tangent + tangent**2)
    gain, a1, a2 = tangent**2 * scale, 2 * (tangent**2 - 1) * scale, (1 - math.sqrt(2) * tangent + tangent**2) * scale
    forwards = _filtered(longer.tolist(), gain, a1, a2)
    backwards = _filtered(forwards[::-1], gain, a1, a2)[::-1]
    return np.array(backwards[pad : pad + len(series)])


def _filtered(series: list[float], gain: float, a1: float, a2: float) -> list[float]:
    """One pass of y = gain (x + 2 x₋₁ + x₋₂) - a1 y₋₁ - a2 y₋₂, begun as if the first value had always been there."""
    before = last = series[0]  # of the input; the gain at rest is one
    y_before = y_last = series[0]
    result = []
    for value in series:
        new = gain * (value + 2 * last + before) - a1 * y_last - a2 * y_before
        before, last, y_before, y_last = last, value, y_last, new
        result.append(new)
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
        for start, end in _runs(np.isfinite(each)):
            if end - start > 1:
                out[start:end] = np.gradient(each[start:end], times[start:end])
    return result.reshape(series.shape)


def unwrapped(degrees: ArrayLike, turn: float = 360.0) -> Floats:
    """Angles (T, …) in degrees without jumps of whole turns, each stretch between NaN by itself."""
    values = np.array(degrees, np.float64)
    flat = values.reshape(len(values), -1)
    for series in flat.T:
        for start, end in _runs(np.isfinite(series)):
            series[start:end] = np.unwrap(series[start:end], period=turn)
    return flat.reshape(values.shape)

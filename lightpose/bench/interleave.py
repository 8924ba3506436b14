"""Pieces of work timed interleaved, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["PAUSE_S", "Timing", "interleaved"]

PAUSE_S = 0.003
"""Before each piece of work: threads of the one before spin for about a millisecond, waiting for more."""


@dataclass(frozen=True)
class Timing:
    """Of one piece of work, in ms: median and interquartile range of wall time, and median of the processor's time.

    cpu_ms: summed over the process's threads. It leaves out the time in which others had the processor.
    """

    ms: float
    iqr_ms: float
    cpu_ms: float


def interleaved(
    works: Sequence[Callable[[], object]],
    repeats: int,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Timing]:
    """Time all works once, then all once more, and so on.

    repeats: how often each counts; each run that counts comes right after one that does not, which warms the caches.
    progress: called with the number of rounds done.
    """
    taken: list[list[tuple[float, float]]] = [[] for _ in works]
    for done in range(repeats):
        for work, kept in zip(works, taken, strict=True):
            time.sleep(PAUSE_S)
            work()
            kept.append(_run(work))
        progress(done + 1)
    return [_timing(np.array(kept)) for kept in taken]


def _run(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time of one run, in ms."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)


def _timing(taken: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Timing:
    low, middle, high = np.percentile(taken[:, 0], (25, 50, 75))
    return Timing(float(middle), float(high - low), float(np.median(taken[:, 1])))

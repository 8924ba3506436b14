"""The most memory that running a network takes, measured in a process that does nothing else."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from lightpose.bench.variants import Variant, run_once
from lightpose.errors import LightposeError

__all__ = ["peak_mb", "peak_of_process_mb"]


def peak_mb(variant: Variant, flip: bool) -> float | None:
    """Peak resident memory of a fresh process that opens a network and runs it twice, in 10⁶ bytes.

    None if that process was ended by the system, for want of memory, say.
    """
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        try:
            return pool.submit(_run, variant, flip).result()
        except BrokenProcessPool:
            return None


def peak_of_process_mb() -> float:
    """The most memory that this process has held so far, in 10⁶ bytes. Raises LightposeError where that is not known.

    Linux's getrusage would not do: it counts what the parent held when it started this process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        [line] = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError as error:
        raise LightposeError("peak memory is not known on this system; use --no-memory") from error
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _run(variant: Variant, flip: bool) -> float:
    runtime, crops = variant.open(), variant.crops()
    for _ in range(2):
        run_once(runtime, crops, flip)
    return peak_of_process_mb()

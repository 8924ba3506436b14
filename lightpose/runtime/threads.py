"""How many threads an engine should have: one on each physical core that this process may really use."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from lightpose.errors import ConfigError

__all__ = ["Lanes", "choose_threads", "usable_cores"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Lanes:
    """Threads that do a piece of work each, side by side. A copy, a pickle and a forked process have their own.

    count: of the threads, the caller's included.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type[Lanes], tuple[int]]:
        return Lanes, (self.count,)

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """What `work` gives for each item, in order. Whichever thread is free takes the next, the caller among them."""
        if self._pool is None or self._process != os.getpid():
            self._inherited = self._pool  # kept: closing it would wait for threads that a fork lacks
            self._pool, self._process = ThreadPoolExecutor(max(1, self.count - 1), "lane"), os.getpid()
        done: dict[int, Result] = {}
        left = iter(enumerate(items))

        def work_on() -> None:
            for place, item in left:
                done[place] = work(item)

        others = [self._pool.submit(work_on) for _ in range(min(self.count, len(items)) - 1)]
        try:
            work_on()
        finally:
            for other in others:
                other.result()
        return [done[place] for place in range(len(items))]


def choose_threads(threads: int = 0) -> int:
    """The number wanted, or for 0 as many as there are usable cores.

    Where the system does not tell which those are (macOS, Windows) it stays 0, which engines take for all physical
    cores. Raises ConfigError below 0.
    """
    if threads < 0:
        raise ConfigError(f"threads must not be below 0, not {threads}")
    if threads or not hasattr(os, "sched_getaffinity"):
        return threads
    return usable_cores(os.sched_getaffinity(0))


def usable_cores(cpus: Iterable[int], root: Path = Path("/")) -> int:
    """Physical cores among logical CPUs, or whole CPUs of the container's quota if those are fewer; at least 1.

    cpus: those that the process may run on. root: where /proc and /sys are. A fraction of a CPU is dropped: a thread
    more than the quota would make all wait for the kernel's next period.
    """
    siblings = root / "sys/devices/system/cpu"
    cores = {_read(siblings / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in cpus}
    return max(1, math.floor(min(len(cores), _quota(root))))


def _quota(root: Path) -> float:
    """CPUs that the process's control groups (version 1 or 2), and those above them, allow; infinity without limit."""
    quota = math.inf
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, group = line.split(":", 2) if line.count(":") > 1 else ("", "", "")
        if number == "0":
            mounts = ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            mounts = [f"sys/fs/cgroup/{controllers}", "sys/fs/cgroup/cpu"]
        else:
            continue
        path = Path(group.lstrip("/"))  # in a container it may be named as seen from outside; the top is always there
        folders = (root / mount / above for mount in mounts for above in (path, *path.parents))
        quota = min([quota, *map(_limit, folders)])
    return quota


def _limit(folder: Path) -> float:
    """CPUs that one control group allows: run time over period, in microseconds."""
    both = _read(folder / "cpu.max") or f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"
    quota, _, period = both.partition(" ")
    if quota.isdigit() and period.isdigit() and int(quota) and int(period):
        return int(quota) / int(period)
    return math.inf  # none (`max`, -1), or not known


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""

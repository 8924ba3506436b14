"""The local engine: worker processes on this computer, each with its own runtime."""

from __future__ import annotations

import queue
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Protocol

from lightpose.errors import LightposeError, StoreError
from lightpose.runtime.threads import choose_threads
from lightpose.scale.poison import find_poison, suspects
from lightpose.scale.process import DiedError, WorkerProcess
from lightpose.scale.worker import ShardDone, ShardWorker

__all__ = ["At", "Engine", "LocalEngine", "divide_cores"]

_STARTS = 5
"""Times that a process may end before it begins to work, one after the other."""

_SEARCHES = 3
"""Times that a shard may end its process although each of its images alone does not."""

_TWICE = 2


@dataclass(frozen=True)
class At:
    """A shard that is in work. images: of it that are behind."""

    shard: int
    images: int


class Engine(Protocol):
    """Does shards somewhere. processes: at a time, with `threads` each."""

    processes: int
    threads: int

    def run(self, worker: ShardWorker, shards: Iterator[int]) -> Generator[ShardDone | At]:
        """Each shard once it is done, in any order, and how far the others are. Shards are taken when there is room.

        An image that ends a process again and again is found, and its row says so. Raises the LightposeError of a
        worker, after which the others end. Closing it ends all of them.
        """


def divide_cores(workers: int, threads: int, device: str) -> tuple[int, int]:
    """How many processes, and threads in each, where 0 leaves it open: a process on each core, with a thread each.

    On another device than the CPU it is one process.
    """
    cores = max(1, choose_threads(0))
    if not workers:
        workers = 1 if device != "cpu" else max(1, cores // max(1, threads))
    return workers, threads or max(1, cores // workers)


class LocalEngine:
    """Processes of this computer. A thread of the driver looks after each."""

    def __init__(self, processes: int, threads: int) -> None:
        self.processes, self.threads = processes, threads

    def run(self, worker: ShardWorker, shards: Iterator[int]) -> Generator[ShardDone | At]:
        """See `Engine`."""
        said: queue.SimpleQueue[ShardDone | At | BaseException | None] = queue.SimpleQueue()
        taking = _Locked(shards)
        slots = [_Slot(worker, taking, said) for _ in range(self.processes)]
        threads = [Thread(target=slot.work, daemon=True) for slot in slots]
        try:
            for thread in threads:
                thread.start()
            working = len(threads)
            while working:
                each = said.get()
                if isinstance(each, BaseException):
                    raise each
                if each is None:
                    working -= 1
                else:
                    yield each
        finally:
            taking.close()
            for slot in slots:
                slot.process.stop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()


class _Locked:
    """Shards that several threads take from."""

    def __init__(self, shards: Iterator[int]) -> None:
        self._shards, self._lock, self._closed = shards, Lock(), False

    def take(self) -> int | None:
        with self._lock:
            return None if self._closed else next(self._shards, None)

    def close(self) -> None:
        self._closed = True


class _Slot:
    """A process and the thread that looks after it: takes a shard, has it done, and does what is needed if it dies."""

    def __init__(
        self, worker: ShardWorker, shards: _Locked, said: queue.SimpleQueue[ShardDone | At | BaseException | None]
    ) -> None:
        self.process = WorkerProcess(worker, worker.settings.settings.patience_s)
        self._worker, self._shards, self._said = worker, shards, said
        self._starts = 0

    def work(self) -> None:
        """Do shards until there are none."""
        try:
            while (shard := self._shards.take()) is not None:
                self._said.put(self._finish(shard))
        except BaseException as error:
            if not self.process.is_stopped():
                self._said.put(error)
        finally:
            self.process.stop()
            self._said.put(None)

    def _finish(self, shard: int) -> ShardDone:
        """Have a shard done, whatever dies of it."""
        poison: dict[int, tuple[str, str]] = {}
        deaths = searches = 0
        while True:
            try:
                return self._run(shard, poison)
            except DiedError as death:
                if not death.begun or self.process.is_stopped():
                    self._count_start(death)
                    continue
                deaths += 1
                if deaths < _TWICE:
                    continue  # it may have been killed by somebody
                if searches == _SEARCHES:
                    raise StoreError(
                        f"the work on shard {shard} ended {deaths} times ({death.why}), though not by one image alone; "
                        "if it is for want of memory, give fewer --workers"
                    ) from death
                found = self._search(shard, death, poison, all_of_them=searches > 0)
                searches = 0 if found else searches + 1

    def _run(self, shard: int, poison: dict[int, tuple[str, str]]) -> ShardDone:
        done = self.process.run(shard, poison, lambda behind: self._said.put(At(shard, behind)))
        self._starts = 0
        return done

    def _search(
        self, shard: int, death: DiedError, poison: dict[int, tuple[str, str]], all_of_them: bool
    ) -> dict[int, tuple[str, str]]:
        """Find the images that the process dies of, and add them to those that are known."""
        count = self._worker.settings.size(shard)
        left = suspects(count, death.behind, list(poison), all_of_them or count == 1)
        numbers = find_poison(lambda some: self._first_death(shard, some), left)
        status = "timeout" if death.late else "poison"
        found = dict.fromkeys(numbers, (status, f"the work on it ended its process: {death.why}"))
        poison.update(found)
        return found

    def _first_death(self, shard: int, numbers: Sequence[int]) -> int | None:
        while True:
            try:
                return self.process.first_death(shard, numbers)
            except DiedError as death:
                self._count_start(death)

    def _count_start(self, death: DiedError) -> None:
        """Count a process that did not begin. Raises the error that ends the run after too many, or if it stopped."""
        self._starts += 1
        if self.process.is_stopped():
            raise death
        if self._starts == _STARTS:
            raise LightposeError(
                f"worker processes end before they begin ({death.why}); if it is for want of memory, give fewer "
                "--workers"
            ) from death

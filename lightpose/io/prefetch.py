"""Work done in a thread beside the caller: on items ahead of it, or behind it; in order, and within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from typing import TypeVar

__all__ = ["ahead", "behind"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], count: int, limit: int, size: Callable[[Result], int]
) -> Generator[Result, None, None]:
    """What `work` gives for each item, in order; the next ones are made while the caller uses the last.

    count: at least 1, how many are made ahead. limit: sum of the sizes of those from which on no further one is begun.
    An error of `work` is raised where its result would have come. Close the iterator if it is not used up: what was
    begun is waited for, the rest is dropped.
    """
    room = _Room(limit)

    def make(item: Item) -> Result:
        room.wait()
        result = work(item)
        room.add(size(result))
        return result

    def take(made: Future[Result]) -> Result:
        result = made.result()
        room.add(-size(result))
        return result

    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="overlap")
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > count:
                yield take(waiting.popleft())
        while waiting:
            yield take(waiting.popleft())
    finally:
        room.open()
        pool.shutdown(cancel_futures=True)


def behind(
    work: Callable[[Item], Result], items: Iterable[Item], count: int, limit: int, size: Callable[[Item], int]
) -> Generator[Result, None, None]:
    """What `work` gives for each item, in order, made while the next items come.

    count: how many may wait for it. limit: sum of the sizes of items that may wait, beside one. Errors and closing as
    for `ahead`.
    """
    waiting: deque[tuple[int, Future[Result]]] = deque()
    held = 0
    pool = ThreadPoolExecutor(1, thread_name_prefix="overlap")
    try:
        for item in items:
            waiting.append((size(item), pool.submit(work, item)))
            held += waiting[-1][0]
            while len(waiting) > 1 and (len(waiting) > count or held > limit):
                held -= waiting[0][0]
                yield waiting.popleft()[1].result()
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)


class _Room:
    """Sizes that are held, and a thread that waits until they are below a limit."""

    def __init__(self, limit: int) -> None:
        self._limit: float = limit
        self._held = 0
        self._changed = Condition()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._limit)

    def add(self, size: int) -> None:
        with self._changed:
            self._held += size
            self._changed.notify_all()

    def open(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._limit = float("inf")
            self._changed.notify_all()

"""Work done in several threads ahead of the caller, in order: for what waits, such as requests to a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead_of_all"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead_of_all(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    count: int,
    limit: int,
    size: Callable[[Result], int],
) -> Generator[Result, None, None]:
    """What `work` gives for each item, in order, as `lightpose.io.prefetch.ahead` does it in one thread.

    count: how many are made ahead. limit: sum of the sizes of those that are made, from which on no further one is
    begun; those that are being made come on top. Errors and closing as there.
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch")

    def is_full() -> bool:
        made = (future for future in waiting if future.done() and future.exception() is None)
        return len(waiting) >= count or sum(size(future.result()) for future in made) >= limit

    try:
        for item in items:
            while waiting and is_full():
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

"""Room for images: so many at a time, and so many bytes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lightpose.serve.problems import busy

__all__ = ["Room"]

MOST_BYTES = 2**30
"""Of decoded images at a time, beside a single larger one."""


class Room:
    """Images that are decoded, wait or are in work. Belongs to one event loop.

    most: how many there may be.
    """

    def __init__(self, most: int, most_bytes: int = MOST_BYTES) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.count = self.held = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def check(self, size: int = 0) -> None:
        """Raise a problem unless there is room for an image of so many bytes."""
        if not self._fits(size):
            raise busy(f"{self.count} images are waiting and there is no room for another; try again in a second")

    @asynccontextmanager
    async def place(self, size: int, patient: bool = False) -> AsyncIterator[None]:
        """A place for an image of so many bytes. patient: wait for it; else a problem is raised where there is none."""
        while not self._fits(size):
            if not patient:
                self.check(size)
            await self._change()
        self.count += 1
        self.held += size
        try:
            yield
        finally:
            self.count -= 1
            self.held -= size
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _fits(self, size: int) -> bool:
        return self.count < self.most and (not self.count or self.held + size <= self.most_bytes)

    async def _change(self) -> None:
        """Wait until somebody leaves."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

"""Worker processes that share one port. One that dies is started again; at the end all finish their requests."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from lightpose.errors import LightposeError
from lightpose.io.processes import ended_by, no_interrupt
from lightpose.runtime.threads import choose_threads
from lightpose.serve.metrics import forget
from lightpose.serve.wire import GRACEFUL_S
from lightpose.serve.worker import Plan, work

__all__ = ["Supervisor", "share_of_threads"]

_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Until a worker that has died is started again: after the first time, the second, ... After one more, all end."""

_STEADY_S = 10.0
"""A worker that has served for so long is counted as new when it dies."""

_SILENT_S = 30.0
"""A worker that serves and says nothing for so long hangs, and is ended."""

_TICK_S = 0.1
_MARGIN_S = 1.5
"""How much longer than its requests may take a worker may take to end."""

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))
_GONE = (EOFError, OSError)

_logger = logging.getLogger("lightpose")


def share_of_threads(threads: int, workers: int) -> int:
    """The threads of each worker, at least 1, so that all together have no more than there are.

    threads: of all workers; 0 for one on each physical core that may be used.
    """
    return max(1, (choose_threads(threads) or os.cpu_count() or 1) // workers)


class Supervisor:
    """Starts the workers, looks after them, and ends them.

    listener: the socket that takes connections for all; it is closed at the end. told: called with what each first
    worker notes, once all serve. Uvicorn's own supervisor has no pause between starts, no end of them, and no limit to
    the time that workers take to end.
    """

    def __init__(self, plan: Plan, listener: socket.socket, told: Callable[[tuple[str, ...]], None]) -> None:
        self._plan, self._listener, self._told = plan, listener, told
        self._slots = [_Slot(number + 1) for number in range(plan.settings.workers)]
        self._orders: list[int] = []
        self._is_told = False

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; requests in work are answered first.

        Raises the LightposeError that keeps a worker from its start, or one that says that workers die again and again.
        """
        with self._signals():
            try:
                while not self._orders:
                    for slot in self._slots:
                        self._look_after(slot, slot.start(self._plan, self._listener))
                    wait([each for slot in self._slots for each in slot.heard], _TICK_S)
                    for slot in self._slots:
                        self._look_after(slot, slot.listen())
            finally:
                self._end()

    def _look_after(self, slot: _Slot, why: str | None) -> None:
        """Say when all serve, and what a worker ended by, if it did. Raises a LightposeError if all should end."""
        if not self._is_told and all(each.serves for each in self._slots):
            self._is_told = True
            self._told(self._slots[0].notes)
        if why is None or self._orders:
            return
        if slot.pid:
            forget(slot.pid, self._plan.folder)
        if slot.error is not None and not self._is_told:
            raise slot.error
        if slot.deaths > len(_PAUSES_S):
            told = f"worker {slot.number} has ended {slot.deaths} times soon after its start: {slot.error or why}"
            raise LightposeError(told if slot.error else f"{told}; if it is for want of memory, give fewer --workers")
        which = f"worker {slot.number}, process {slot.pid}," if slot.pid else f"worker {slot.number}"
        _logger.warning("%s is started again: %s", which, slot.error or why)

    def _end(self) -> None:
        """Have all workers finish, and wait for that; each order goes to all of them."""
        self._listener.close()
        self._orders = self._orders or [signal.SIGTERM]
        end_s = time.monotonic() + self._plan.settings.drain_s + GRACEFUL_S + _MARGIN_S
        given = 0
        while (left := [slot for slot in self._slots if slot.is_alive()]) and time.monotonic() < end_s:
            for order in self._orders[given:]:
                given += 1
                for slot in left:
                    slot.order(order)
            wait([each for slot in left for each in slot.heard], _TICK_S)
            for slot in left:
                slot.listen()
        for slot in self._slots:
            slot.kill()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Note signals that ask for the end, in place of what they do else."""
        before = {each: signal.signal(each, lambda number, _: self._orders.append(number)) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, signal.SIG_DFL if handler is None else handler)


class _Slot:
    """A place for a worker, which one process after the other has.

    notes: what the last one noted at its start. error: what it failed with, if it said so. deaths: of processes in a
    row that ended soon after their start.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.notes: tuple[str, ...] = ()
        self.error: LightposeError | None = None
        self.deaths = self.pid = 0
        self.serves = False
        self._process: Any = None
        self._pipe: Connection | None = None
        self._due_s = self._serving_s = self._silent_s = self._looked_s = 0.0

    @property
    def heard(self) -> list[Any]:
        """What becomes readable when the process says something, or ends."""
        return [each for each in (self._pipe, self._process and self._process.sentinel) if each is not None]

    def is_alive(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def start(self, plan: Plan, listener: socket.socket) -> str | None:
        """Start a process, unless there is one or it is not yet time for it. Why that cannot be done, if so."""
        if self._process is not None or time.monotonic() < self._due_s:
            return None
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(
            target=work, args=(there, self.number, plan, listener), name=f"worker-{self.number}"
        )
        self.pid, self.serves, self.error, self._silent_s = 0, False, None, 0.0
        try:
            with no_interrupt():
                self._process.start()
        except OSError as error:  # it was killed before it had read what to do, or the system has no room for it
            self._process = None
            return self._ended(f"it cannot be started: {error.strerror or error}")
        finally:
            there.close()
        self.pid = self._process.pid
        return None

    def listen(self) -> str | None:
        """Take in what the process says. What it ended by, if it has ended meanwhile."""
        if self._process is None:
            return None
        is_over, now_s = not self._process.is_alive(), time.monotonic()
        self._silent_s += min(now_s - self._looked_s, 1.0)  # no more, lest a pause of all processes counts
        self._looked_s = now_s
        self._take_in()
        if is_over:
            self._process.join()
            return self._ended(ended_by(self._process.exitcode))
        if self.serves and self._silent_s > _SILENT_S:
            self._process.kill()
            self._process.join()
            return self._ended(f"it stood still for {_SILENT_S:g} s, and was ended")
        return None

    def order(self, number: int) -> None:
        """Have the process end as after a signal; one that is still loading hears nothing else than SIGTERM."""
        with suppress(*_GONE):
            if self._pipe is not None and self.serves:
                self._pipe.send(number)
            elif self._process is not None:
                self._process.terminate()

    def kill(self) -> None:
        """End the process at once, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._let_go()

    def _take_in(self) -> None:
        with suppress(*_GONE):
            while self._pipe is not None and self._pipe.poll():
                kind, value = self._pipe.recv()
                self._silent_s = 0.0
                if kind == "serving":
                    self.serves, self._serving_s, self.notes = True, time.monotonic(), tuple(value)
                elif kind == "refused":
                    self.error = value
                elif kind == "note":
                    _logger.warning("%s", value)

    def _ended(self, why: str) -> str:
        """Note that there is no process any more, and when there will be one."""
        now_s = time.monotonic()
        is_steady = self.serves and now_s - self._serving_s >= _STEADY_S
        self.deaths = 1 if is_steady else self.deaths + 1
        self._due_s = now_s + _PAUSES_S[min(self.deaths, len(_PAUSES_S)) - 1]
        self._let_go()
        return why

    def _let_go(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        self.serves = False

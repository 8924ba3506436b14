"""A process that does shards, seen from both sides: what it runs, and how the driver talks with it."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any

from lightpose.errors import LightposeError
from lightpose.io.processes import ended_by, no_interrupt
from lightpose.scale.worker import Poison, ShardDone, ShardWorker

__all__ = ["DiedError", "WorkerProcess"]

_STARTING_S = 600.0
"""For how long a process may load its networks."""

_ENDING_S = 5.0
"""For how long a process whose pipe is closed may take to end by itself."""

_GONE = (EOFError, OSError)


class DiedError(Exception):
    """A process ended, or was ended. behind: images of the shard that it was done with. why: one sentence. late:
    whether it was ended because nothing came for too long. begun: whether it had begun to work."""

    def __init__(self, why: str, behind: int = 0, late: bool = False, begun: bool = True) -> None:
        super().__init__(why)
        self.why, self.behind, self.late, self.begun = why, behind, late, begun


class WorkerProcess:
    """A process for one worker, started when it is first asked, and again after it died. One thread asks it.

    patience_s: how long nothing may be heard of it while it works.
    """

    def __init__(self, worker: ShardWorker, patience_s: float) -> None:
        self._worker, self._patience_s = worker, patience_s
        self._process: Any = None
        self._pipe: Connection | None = None
        self._stopped = False

    def run(self, shard: int, poison: Poison, at: Callable[[int], None]) -> ShardDone:
        """`ShardWorker.run` there. Raises DiedError, or the LightposeError that it raised there."""
        done: ShardDone = self._ask(("run", shard, dict(poison)), at)
        return done

    def first_death(self, shard: int, numbers: Sequence[int]) -> int | None:
        """The image at which `ShardWorker.probe` ends the process there; None if it does not."""
        try:
            self._ask(("probe", shard, list(numbers)), lambda _: None)
        except DiedError as death:
            if not death.begun:
                raise
            return max(death.behind, numbers[0])
        return None

    def stop(self) -> None:
        """End it for good; called from any thread. Who is asking gets DiedError."""
        self._stopped = True
        if (process := self._process) is not None:
            process.kill()

    def is_stopped(self) -> bool:
        """Whether it was ended for good."""
        return self._stopped

    def _ask(self, task: tuple[Any, ...], at: Callable[[int], None]) -> Any:
        if self._process is None:
            self._start()
        behind = 0
        try:
            assert self._pipe is not None
            self._pipe.send(task)
            while True:
                kind, value = self._next(self._patience_s, behind)
                if kind == "at":
                    behind = max(behind, value)
                    at(behind)
                elif kind == "done":
                    return value
                elif kind == "refused":
                    raise value
                else:
                    raise DiedError(value, behind)
        except _GONE as error:
            raise DiedError(self._end(), behind) from error

    def _start(self) -> None:
        if self.is_stopped():
            raise DiedError("it was stopped", begun=False)
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, self._worker), daemon=True)
        with no_interrupt():
            process.start()
        there.close()
        self._process = process
        if self.is_stopped():  # meanwhile
            process.kill()
        try:
            kind, value = self._next(_STARTING_S, 0)
        except DiedError as death:
            raise DiedError(death.why, begun=False) from death
        except _GONE as error:
            raise DiedError(self._end(), begun=False) from error
        if kind != "ready":
            self._end(0)
            raise value if kind == "refused" else DiedError(value, begun=False)

    def _next(self, patience_s: float, behind: int) -> tuple[str, Any]:
        """What the process says next. Raises EOFError or OSError if it is gone, DiedError if it is silent."""
        assert self._pipe is not None
        heard = wait([self._pipe, self._process.sentinel], patience_s)
        if not heard:
            self._end(0)
            raise DiedError(f"nothing came of it for {patience_s:g} seconds", behind, late=True)
        if not self._pipe.poll():
            raise EOFError
        said: tuple[str, Any] = self._pipe.recv()
        return said

    def _end(self, wait_s: float = _ENDING_S) -> str:
        """End the process, unless it ends by itself in that time, and tell what it ended by."""
        process, self._process = self._process, None
        process.join(wait_s)
        process.kill()
        process.join()
        assert self._pipe is not None
        self._pipe.close()
        return ended_by(process.exitcode)


def _serve(pipe: Connection, worker: ShardWorker) -> None:
    """What the process does: a task at a time, until the driver is gone."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
    Thread(target=_listen, args=(pipe, tasks), daemon=True).start()
    with suppress(*_GONE):
        pipe.send(_answer(worker.open, "ready"))
        while True:
            what, shard, more = tasks.get()
            act: Callable[..., Any] = worker.run if what == "run" else worker.probe
            pipe.send(_answer(partial(act, shard, more, _Teller(pipe)), "done"))


def _listen(pipe: Connection, tasks: queue.SimpleQueue[tuple[Any, ...]]) -> None:
    """Take in tasks; when the driver is gone, end the process, whatever it does."""
    with suppress(*_GONE):
        while True:
            tasks.put(pipe.recv())
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def _answer(act: Callable[[], Any], done: str) -> tuple[str, Any]:
    """What the process says when it has done something, or could not."""
    try:
        value = act()
    except LightposeError as error:
        return "refused", error
    except OSError as error:
        return "refused", LightposeError(f"cannot use {error.filename or 'a file'}: {error.strerror or error}")
    except Exception as error:  # of a library, by what is in an image: the image is found as one that ends a process
        return "failed", f"{type(error).__name__}: {str(error).partition(chr(10))[0][:160]}"
    return done, value if done == "done" else None


class _Teller:
    """Tells the driver how many images are behind, ten times a second at most unless it is one more."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._told, self._told_s = pipe, -1, 0.0

    def __call__(self, behind: int) -> None:
        now_s = time.monotonic()
        if behind != self._told or now_s - self._told_s > 1:
            self._told, self._told_s = behind, now_s
            with suppress(*_GONE):
                self._pipe.send(("at", behind))

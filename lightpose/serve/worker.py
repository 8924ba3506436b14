"""A worker process: a server of its own on a port that it shares with others, under orders of its supervisor."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock, Thread
from types import FrameType
from typing import Any

from lightpose.errors import LightposeError, brief
from lightpose.inference.estimator import PoseEstimator
from lightpose.runtime import notes_of
from lightpose.serve.app import make_app
from lightpose.serve.metrics import Metrics
from lightpose.serve.service import Service
from lightpose.serve.settings import Settings
from lightpose.serve.wire import Server, configured

__all__ = ["Plan", "work"]

_GONE = (EOFError, OSError)


@dataclass(frozen=True)
class Plan:
    """What all workers are. make: makes the estimator of each, with its threads. folder: of their figures."""

    make: Callable[[], PoseEstimator]
    settings: Settings
    folder: Path


def work(pipe: Connection, number: int, plan: Plan, listener: socket.socket) -> None:
    """Serve until the supervisor orders the end by a signal's number, or is gone.

    pipe: to the supervisor, which hears ("serving", notes), ("alive", None) each second from then on, ("note", text)
    and ("refused", LightposeError).
    """
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    teller, servers = _Teller(pipe), list[_Server]()
    logging.getLogger("lightpose").addHandler(teller)
    Thread(target=_obey, args=(pipe, servers), daemon=True).start()
    try:
        estimator = plan.make()
        service = Service(estimator, plan.settings, Metrics(number, plan.folder))
        config = configured(make_app(service), service)
        servers.append(_Server(config, service, lambda: teller.tell("serving", notes_of(estimator.runtime))))
        servers[0].alive = lambda: teller.tell("alive", None)
        servers[0].run([listener])
        if service.batcher.failure is not None:
            raise service.batcher.failure
    except LightposeError as error:
        teller.tell("refused", error)
    except Exception as error:  # the supervisor starts another, and tells this if that does not help
        teller.tell("refused", LightposeError(f"a worker failed: {type(error).__name__}: {brief(error)}"))


class _Server(Server):
    """Ends when its supervisor says so; Ctrl-C, which goes to all processes of a terminal, is the supervisor's.

    alive: called each second while requests can come.
    """

    alive: Callable[[], None]

    async def on_tick(self, counter: int) -> bool:
        """Whether to end; asked ten times a second."""
        if counter % 10 == 0:
            self.alive()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, but for Ctrl-C."""
        if sig != signal.SIGINT:
            super().handle_exit(sig, frame)

    def obey(self, sig: int) -> None:
        """Begin to end as after a signal that comes to a server that has no supervisor."""
        super().handle_exit(sig, None)


class _Teller(logging.Handler):
    """What the supervisor is told, from any thread: what is logged too, as its process has the terminal."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__(logging.WARNING)
        self._pipe, self._turn = pipe, Lock()

    def tell(self, kind: str, value: Any) -> None:
        """Say something."""
        with self._turn, suppress(*_GONE):
            self._pipe.send((kind, value))

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on what is logged."""
        self.tell("note", record.getMessage())


def _obey(pipe: Connection, servers: list[_Server]) -> None:
    """Wait for orders. A supervisor that is gone orders the end too; a server that is not there yet needs no time."""
    order: int | None = signal.SIGTERM
    while order is not None:
        try:
            order = pipe.recv()
        except _GONE:
            order = None
        if servers:
            servers[0].obey(order or signal.SIGTERM)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

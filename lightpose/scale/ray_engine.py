"""The Ray engine: shards as rows of a Ray Data set, done by a pool of actors on the machines of a cluster."""

from __future__ import annotations

import logging
import math
import os
import pickle
import socket
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

from lightpose.errors import ConfigError, LightposeError, MissingPackageError, StoreError, brief
from lightpose.limits import check_range
from lightpose.scale.actor import ShardActor
from lightpose.scale.local import At
from lightpose.scale.worker import ShardDone, ShardWorker

__all__ = ["RayEngine"]

_AT_ONCE = 2
"""Shards that an actor is handed: the one it works on, and the next."""

_LISTENING_S = 10.0
"""For how long an address may take to answer."""


class RayEngine:
    """Actors on a Ray cluster; Ray Data places them, replaces those that are lost, and keeps each supplied.

    address: of a cluster; "auto" for the one of this computer's environment, "local" for a new one of this computer
    alone, which `close` ends. processes: the most actors; 0 for as many as the cluster's cores, or GPUs, allow now.
    threads: cores of each. num_gpus: GPUs of each, or a share of one.

    Raises MissingPackageError if Ray is not installed, and ConfigError if there is no such cluster.
    """

    def __init__(self, address: str = "auto", processes: int = 0, threads: int = 1, num_gpus: float = 0.0) -> None:
        check_range("num_gpus", num_gpus, 0, 64)
        self._ray, self._gpus, self.threads = _ray(), num_gpus, max(1, threads)
        self._mine = not self._ray.is_initialized()
        if self._mine:
            self._connect(address)
        self.processes = processes or self._room()

    def run(self, worker: ShardWorker, shards: Iterator[int]) -> Generator[ShardDone | At]:
        """See `Engine`. A shard is told of once it is done."""
        numbers = list(shards)
        if not numbers:
            return
        rows = self._done(worker, numbers)
        try:
            for row in rows:
                said: ShardDone | LightposeError = pickle.loads(row["said"])  # of our own actors
                if isinstance(said, LightposeError):
                    raise said
                yield said
        except self._ray.exceptions.RayError as error:
            raise StoreError(f"Ray has given up ({brief(error)}); run the command again, which goes on") from error
        finally:
            rows.close()

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._mine:
            self._ray.shutdown()

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _done(self, worker: ShardWorker, numbers: list[int]) -> Generator[dict[str, Any]]:
        """The rows of the actors. Each row is a block of its own, so that what is lost with an actor is one shard."""
        import ray.data

        context = ray.data.DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = False
        with ray.data.DataContext.current(context):
            rows = ray.data.from_items([{"shard": number} for number in numbers], override_num_blocks=len(numbers))
            done = rows.map_batches(
                ShardActor,
                fn_constructor_args=(worker, self.threads),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(
                    min_size=1, max_size=self.processes, max_tasks_in_flight_per_actor=_AT_ONCE
                ),
                num_cpus=self.threads,
                num_gpus=self._gpus or None,
            )
        yield from done.iter_rows()

    def _connect(self, address: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
        try:
            _check_listening(address)
            if address == "local":
                self._ray.init("local", include_dashboard=False, **quiet)
            else:
                self._ray.init(address, **quiet)
        except (OSError, ValueError, RuntimeError) as error:
            hint = "start one with `ray start --head`, or give --ray local"
            raise ConfigError(f"there is no Ray cluster at {address} ({brief(error)}); {hint}") from error
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)

    def _room(self) -> int:
        """How many actors the cluster has room for now."""
        there = self._ray.cluster_resources()
        room = there.get("CPU", 0.0) // self.threads
        if self._gpus:
            room = min(room, math.floor(there.get("GPU", 0.0) / self._gpus))
        if room < 1:
            wanted = f"{self.threads} cores" + (f" and {self._gpus:g} GPUs" if self._gpus else "")
            has = f"{there.get('CPU', 0.0):g} cores and {there.get('GPU', 0.0):g} GPUs in all"
            raise ConfigError(f"no machine of the Ray cluster has {wanted} for a worker; it has {has}")
        return int(room)


def _check_listening(address: str) -> None:
    """Raise OSError if nothing listens at an address, for which Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _LISTENING_S).close()


def _ray() -> Any:
    with suppress(ImportError):
        import ray
        import ray.data

        return ray
    raise MissingPackageError("ray", "ray")

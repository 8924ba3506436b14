"""Where the work of a run is done: processes of this computer, or actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lightpose.errors import ConfigError
from lightpose.scale.local import Engine, LocalEngine, divide_cores

__all__ = ["open_engine"]


@contextmanager
def open_engine(
    workers: int = 0, threads: int = 0, device: str = "cpu", ray: str | None = None, num_gpus: float = 0.0
) -> Iterator[Engine]:
    """The engine that options name, open for one run.

    workers: processes or actors at a time; 0 for as many as there are cores for. threads: of each; 0 divides the cores
    of this computer, and is 1 with Ray. ray: address of a cluster, as `RayEngine` takes it. num_gpus: of each actor.
    """
    if ray is None:
        if num_gpus:
            raise ConfigError("--num-gpus is for Ray, which places workers by it; give --ray, or --device alone")
        yield LocalEngine(*divide_cores(workers, threads, device))
        return
    from lightpose.scale.ray_engine import RayEngine

    with RayEngine(ray, workers, threads or 1, num_gpus) as engine:
        yield engine

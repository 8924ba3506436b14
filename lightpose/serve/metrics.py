"""Figures for Prometheus: of the requests, the batches and the queue, and of no request's content.

Several worker processes have theirs in files of one folder (prometheus_client's multiprocess mode), so that any of them
can tell those of all, and none are lost with a process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from lightpose.errors import ConfigError

__all__ = ["Metrics", "forget", "shared_folder"]

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that prometheus_client reads when it is imported."""

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 32)


class Metrics:
    """What a server counts, in a registry of its own.

    worker: number of the process, from 1. folder: where all processes have theirs; none if this is the only one.
    """

    def __init__(self, worker: int = 1, folder: Path | None = None) -> None:
        self._registry = registry = CollectorRegistry()
        self._folder, self._worker = folder, str(worker)
        self._watched: list[tuple[Callable[[], float], tuple[Gauge, ...]]] = []
        self._requests = Counter(
            "lightpose_requests", "Requests by path and status.", ("path", "status"), registry=registry
        )
        self._seconds = Histogram(
            "lightpose_request_seconds", "From a request's headers to the end of its answer.", ("path",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batches = Histogram(
            "lightpose_batch_images", "Images that went through the networks together.",
            buckets=_SIZES, registry=registry,
        )  # fmt: skip
        self._images = Counter("lightpose_images", "Images that were answered.", registry=registry)
        self._people = Counter("lightpose_people", "People who were found in them.", registry=registry)
        self.dropped = Counter(
            "lightpose_dropped_frames", "Frames of streams that newer ones replaced.", registry=registry
        )
        self._of_worker = {
            name: Counter(f"lightpose_worker_{name}", told, ("worker",), registry=registry).labels(self._worker)
            for name, told in (
                ("requests", "Requests by worker process."),
                ("images", "Images that were answered, by worker process."),
                ("starts", "How often a worker process was started."),
            )
        }
        self._of_worker["starts"].inc()

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered, or whose client went (status 0)."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)
        self._of_worker["requests"].inc()

    def count_image(self, people: int) -> None:
        """Count an image that was answered with so many people."""
        self._images.inc()
        self._people.inc(people)
        self._of_worker["images"].inc()

    def watch(self, name: str, told: str, value: Callable[[], float]) -> None:
        """Add a figure that is asked for at each `refresh`."""
        of_all = Gauge(f"lightpose_{name}", told, registry=self._registry, multiprocess_mode="livesum")
        of_worker = Gauge(
            f"lightpose_worker_{name}", f"{told.rstrip('.')}, by worker process.", ("worker",),
            registry=self._registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._watched.append((value, (of_all, of_worker.labels(self._worker))))

    def refresh(self) -> None:
        """Note the figures that are watched, for other processes to tell."""
        for value, gauges in self._watched:
            for gauge in gauges:
                gauge.set(value())

    def text(self) -> bytes:
        """All figures, in Prometheus' text format: those of all processes, and of each."""
        self.refresh()
        if self._folder is None:
            return generate_latest(self._registry)
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(of_all)


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder for the figures of the processes that start meanwhile; it goes at the end.

    Raises ConfigError if there can be none.
    """
    before = os.environ.get(_FOLDER)
    try:
        made = tempfile.TemporaryDirectory(prefix="lightpose-metrics-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(
            "several workers need a folder for their figures, and none can be made; name one that can be written in "
            "the environment variable TMPDIR"
        ) from error
    with made as folder:
        os.environ[_FOLDER] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop(_FOLDER)
            if before is not None:
                os.environ[_FOLDER] = before


def forget(process: int, folder: Path) -> None:
    """Take the figures of a process that has ended out of those of the moment; what it counted stays."""
    mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]
    for file in folder.glob(f"*_{process}.db"):
        if not file.stat().st_size:  # it ended as it made the file, which nobody could read
            file.unlink()

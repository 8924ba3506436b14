"""How far a run is, for Prometheus: figures at an address of this computer while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightpose.errors import ConfigError, MissingPackageError
from lightpose.scale.bulk import Progress

__all__ = ["read_address", "watched"]

LOOPBACK = "127.0.0.1"


def read_address(text: str) -> tuple[str, int]:
    """Host and port of `9100`, `0.0.0.0:9100` or `[::1]:9100`; a port alone is of this computer's own address.

    >>> read_address("9100")
    ('127.0.0.1', 9100)

    Raises ConfigError if it is none.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 2**16) or text.startswith(":"):
        raise ConfigError(f"--metrics must be a port such as 9100, or an address such as 0.0.0.0:9100, not {text}")
    return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)


@contextmanager
def watched(
    address: str | None, progress: Callable[[Progress], None]
) -> Iterator[tuple[Callable[[Progress], None], str]]:
    """The function to call with how far a run is, and where Prometheus reads it for as long as the context lasts.

    address: as `read_address` takes it; port 0 takes a free one; without any, nothing listens. progress: called with
    each as well. Raises ConfigError if it cannot be listened on, and MissingPackageError if prometheus_client is not
    installed.
    """
    if address is None:
        yield progress, ""
        return
    host, port = read_address(address)
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise MissingPackageError("prometheus_client", "scale") from error
    figures, registry = _Figures(progress), CollectorRegistry()
    registry.register(figures)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(f"--metrics cannot listen on {host}:{port} ({why}); give another port") from error
    shown = f"[{host}]" if ":" in host else host
    try:
        yield figures.update, f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Figures:
    """A collector of prometheus_client: makes the figures of what it was told last, all of one moment."""

    def __init__(self, progress: Callable[[Progress], None]) -> None:
        self._now, self._progress = Progress(), progress

    def update(self, now: Progress) -> None:
        """Take how far the run is."""
        self._now = now
        self._progress(now)

    def collect(self) -> Iterator[Any]:
        """The figures."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        now = self._now
        yield GaugeMetricFamily("lightpose_bulk_images", "Images of the run, or frames of its videos.", now.total)
        yield CounterMetricFamily("lightpose_bulk_images_done", "Those that are done, in all its starts.", now.images)
        failed = CounterMetricFamily("lightpose_bulk_failed", "Images that failed, or shards.", labels=["status"])
        for status, count in now.failures.items():
            failed.add_metric([status], count)
        yield failed
        yield CounterMetricFamily("lightpose_bulk_people", "People in finished shards, in each image.", now.people)
        yield CounterMetricFamily("lightpose_bulk_shards_done", "Shards whose part is written.", now.shards)
        yield GaugeMetricFamily("lightpose_bulk_shards_left", "Shards without a part.", now.all_shards - now.shards)
        yield GaugeMetricFamily("lightpose_bulk_images_per_second", "Since this start.", now.rate)
        if now.seconds_left is not None:
            yield GaugeMetricFamily("lightpose_bulk_seconds_left", "At that rate.", now.seconds_left)

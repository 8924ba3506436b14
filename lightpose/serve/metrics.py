"""Figures for Prometheus: of the requests, the batches and the queue, and of no request's content."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 32)


class Metrics:
    """What a server counts, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "lightpose_requests", "Requests by path and status.", ("path", "status"), registry=registry
        )
        self.seconds = Histogram(
            "lightpose_request_seconds", "From a request's headers to the end of its answer.", ("path",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batches = Histogram(
            "lightpose_batch_images", "Images that went through the networks together.",
            buckets=_SIZES, registry=registry,
        )  # fmt: skip
        self.images = Counter("lightpose_images", "Images that were answered.", registry=registry)
        self.people = Counter("lightpose_people", "People who were found in them.", registry=registry)
        self.dropped = Counter(
            "lightpose_dropped_frames", "Frames of streams that newer ones replaced.", registry=registry
        )

    def watch(self, name: str, told: str, value: Callable[[], float]) -> None:
        """Add a figure that is asked for when it is read."""
        Gauge(f"lightpose_{name}", told, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All figures, in Prometheus' text format."""
        return generate_latest(self._registry)

"""Engines that run a network on crops, behind one protocol."""

from __future__ import annotations

from typing import Protocol

from lightpose.types import FloatArray, ImageArray, ModelSpec

__all__ = ["Runtime"]


class Runtime(Protocol):
    """A network ready to run. Normalisation is inside: crops go in as they are cut from a picture."""

    @property
    def name(self) -> str:
        """The engine, as a report names it."""

    @property
    def spec(self) -> ModelSpec:
        """What the weights file says of itself."""

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        """(N, H, W, 3) uint8 RGB, H and W of the spec → heatmaps (N, K, h, w)."""

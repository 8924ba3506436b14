"""Engines that tell what each part of a graph took, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lightpose.bench.operations import Operation
from lightpose.bench.variants import Variant
from lightpose.types import ImageArray

__all__ = ["MATRICES", "Node", "Product", "Profiled", "open_profiled"]

MATRICES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    **{f"MatMul {size}": ("MatMul", (size, size), (size, size)) for size in (512, 1024, 1536)},
    **{
        f"1×1 convolution of {width} channels, 32×32": ("Conv", (1, width, 32, 32), (width, width, 1, 1))
        for width in (512, 1024)
    },
}
"""The matrix products by name: ONNX's operation, and the shapes of what it multiplies, the second a fixed weight. A 1×1
convolution is one too, and some engines are faster at it."""


@dataclass(frozen=True)
class Node:
    """What the engine ran as one piece. origins: the graph's operations in it; none if the engine put it in itself.

    ms: of each run.
    """

    name: str
    origins: tuple[str, ...]
    ms: tuple[float, ...]


@dataclass(frozen=True)
class Product:
    """A large matrix product, ready to run. macs: multiply-accumulates of a run."""

    name: str
    macs: int
    run: Callable[[], object]


class Profiled(Protocol):
    """A graph that is open for profiling. The operations are those of its file, which the engine may run as others."""

    operations: list[Operation]
    heatmaps: str
    """Name of the operation that gives them."""

    def run(self, crops: ImageArray) -> None:
        """(N, H, W, 3) uint8 → nothing; what it took is noted."""

    def nodes(self) -> list[Node]:
        """What was noted, to be asked for once, at the end."""

    def products(self) -> list[Product]:
        """MATRICES, for the same engine, with the same number of threads and in the graph's precision."""


def open_profiled(variant: Variant, folder: Path) -> Profiled:
    """The variant's graph in its engine, which is onnxruntime or openvino. folder: an existing one for passing files.

    Raises MissingPackageError if the engine, or for onnxruntime the package onnx, is not installed.
    """
    assert variant.path is not None
    if variant.engine == "openvino":
        from lightpose.bench.openvino_nodes import OpenVinoProfiled

        return OpenVinoProfiled(variant.path, variant.threads, variant.source.precision)
    from lightpose.bench.onnx_nodes import OnnxProfiled

    return OnnxProfiled(variant.path, variant.threads, folder)

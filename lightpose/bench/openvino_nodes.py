"""What OpenVINO takes for each part of a graph, and for matrix products."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.bench.operations import CONVOLUTIONS, PRODUCTS, Operation, product_macs
from lightpose.bench.profiled import MATRICES, Node, Product
from lightpose.runtime.openvino import compile_graph, read_graph
from lightpose.types import ImageArray

__all__ = ["OpenVinoProfiled", "read_operations"]

KINDS = {
    "Convolution": "Conv",
    "GroupConvolution": "Conv",
    "ConvolutionBackpropData": "ConvTranspose",
    "GroupConvolutionBackpropData": "ConvTranspose",
    "StridedSlice": "Slice",
    "VariadicSplit": "Split",
    "Interpolate": "Resize",
    "SoftMax": "Softmax",
}
"""OpenVINO's words for what ONNX calls otherwise."""


class OpenVinoProfiled:
    """A graph that lightpose exported, in OpenVINO with profiling. precision: fp32 or int8, as the file has it."""

    def __init__(self, path: Path, threads: int, precision: str) -> None:
        graph, spec = read_graph(path)
        self._threads, self._precision = threads, precision
        self._compiled = compile_graph(graph, threads, profile=True)
        self._request = self._compiled.create_infer_request()
        self._means: list[dict[str, float]] = []
        fixed = read_graph(path)[0]
        fixed.reshape([1, *spec.input_hw, 3])
        self.operations = read_operations(fixed)
        self.heatmaps = fixed.output("heatmaps").node.input_value(0).get_node().get_friendly_name()

    def run(self, crops: ImageArray) -> None:
        self._request.infer([crops])
        told = self._request.get_profiling_info()
        self._means.append({one.node_name: one.real_time.total_seconds() * 1000 for one in told})

    def nodes(self) -> list[Node]:
        origins = self._origins()
        return [Node(name, origins.get(name, ()), self._single(name)) for name in self._means[0]]

    def products(self) -> list[Product]:
        return [self._product(name, *what) for name, what in MATRICES.items()]

    def _single(self, name: str) -> tuple[float, ...]:
        """Times of single runs: what OpenVINO tells after each is the mean of all so far."""
        sums = [0.0, *(number * means.get(name, 0.0) for number, means in enumerate(self._means, start=1))]
        return tuple(max(0.0, float(step)) for step in np.diff(sums))

    def _origins(self) -> dict[str, tuple[str, ...]]:
        """The operations in each node that runs, as OpenVINO names them."""
        known = {one.name for one in self.operations}
        origins = {}
        for node in self._compiled.get_runtime_model().get_ordered_ops():
            names = str(node.get_rt_info()["originalLayersNames"].value).split(",")
            origins[node.get_friendly_name()] = tuple(name for name in names if name in known)
        return origins

    def _product(self, name: str, kind: str, first: tuple[int, ...], second: tuple[int, ...]) -> Product:
        """One operation of noise and a weight, both rounded to 8 bits for int8."""
        import openvino
        from openvino import opset13 as ops

        a, b = (np.random.default_rng(0).random(shape, np.float32) for shape in (first, second))
        pixels = ops.parameter(first, np.float32)
        factors: list[Any] = [pixels, ops.constant(b)]
        if self._precision == "int8":
            factors = [
                ops.fake_quantize(factor, *map(np.float32, (low, 1, low, 1)), levels)
                for factor, low, levels in zip(factors, (0, -1), (256, 255), strict=True)
            ]
        if kind == "MatMul":
            result = ops.matmul(*factors, False, False)
        else:
            result = ops.convolution(*factors, [1, 1], [0, 0], [0, 0], [1, 1])
        request = compile_graph(openvino.Model([result], [pixels]), self._threads).create_infer_request()
        return Product(name, math.prod(first) * second[kind == "MatMul"], partial(request.infer, [a]))


def read_operations(graph: Any) -> list[Operation]:
    """The operations of an openvino.Model of known shapes that depend on what its input holds, in order."""
    names = {node.get_friendly_name(): "" for node in graph.get_parameters()}
    operations = []
    for node in graph.get_ordered_ops():
        name, kind = node.get_friendly_name(), KINDS.get(node.get_type_name(), node.get_type_name())
        takes = [value.get_node().get_friendly_name() for value in node.input_values()]
        before = [names[one] for one in takes if one in names]
        if before and kind not in ("ShapeOf", "Result"):
            names[name] = name
            operations.append(_operation(node, name, kind, tuple(filter(None, before))))
    return operations


def _operation(node: Any, name: str, kind: str, before: tuple[str, ...]) -> Operation:
    output, first = tuple(node.get_output_shape(0)), tuple(node.get_input_shape(0))
    kernel: tuple[int, ...] = tuple(node.get_input_shape(1)) if kind in CONVOLUTIONS else ()
    macs, groups = 0, 1
    if kernel:
        macs = math.prod(kernel) * math.prod((first if kind == "ConvTranspose" else output)[2:])
        if len(kernel) == 5:  # groups apart: (groups, outputs of one, inputs of one, h, w)
            groups, kernel = kernel[0], (kernel[0] * kernel[1], *kernel[2:])
    elif kind in PRODUCTS:
        macs = product_macs(first, output)
    return Operation(name, kind, before, output, macs, kernel, groups)

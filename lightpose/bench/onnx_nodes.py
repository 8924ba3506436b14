"""What ONNX Runtime takes for each part of a graph, and for matrix products."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.bench.operations import CONVOLUTIONS, PRODUCTS, Operation, product_macs
from lightpose.bench.profiled import MATRICES, Node, Product
from lightpose.errors import MissingPackageError
from lightpose.runtime.onnx import open_session
from lightpose.types import ImageArray

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper, shape_inference
except ImportError as error:
    raise MissingPackageError("onnx", "train") from error

__all__ = ["OnnxProfiled", "read_operations"]

OPSET, IR_VERSION = 17, 8
"""Of the matrix products: old enough for any engine."""


class OnnxProfiled:
    """A graph that lightpose exported, in ONNX Runtime with profiling. folder: an existing one for its files."""

    def __init__(self, path: Path, threads: int, folder: Path) -> None:
        graph = onnx.load(str(path)).graph
        self.operations = read_operations(graph)
        self._makers = {output: _name(node) for node in graph.node for output in node.output}
        self.heatmaps = self._makers["heatmaps"]
        self._known = {one.name: one for one in self.operations}
        self._folder, self._threads = folder, threads
        self._session = open_session(path, threads, folder / "profile")
        self._input = self._session.get_inputs()[0].name

    def run(self, crops: ImageArray) -> None:
        self._session.run(["heatmaps"], {self._input: crops})

    def nodes(self) -> list[Node]:
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        taken: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        for event in events:
            name = event["name"].removesuffix("_kernel_time")
            if event["cat"] == "Node" and name != event["name"]:
                told = event["args"]
                taken[name, told["op_name"], told.get("node_index", "")].append(event["dur"] / 1000)
        return [Node(name, self._origins(name, kind), tuple(ms)) for (name, kind, _), ms in taken.items()]

    def products(self) -> list[Product]:
        return [self._product(name, *what) for name, what in MATRICES.items()]

    def _origins(self, name: str, kind: str) -> tuple[str, ...]:
        """Nodes keep their names, or get those of what they give and a suffix, as `relu_5_nchwc` does."""
        name = name.split("/")[0]
        plain = name.split("_nchwc")[0].removeprefix("fused ")
        origin = next((one for one in (name, plain, self._makers.get(plain, "")) if one in self._known), None)
        while origin is not None and kind in ("Conv", "FusedConv") and self._known[origin].kind not in CONVOLUTIONS:
            origin = next((one for one in self._known[origin].before if one in self._known), None)
        return () if origin is None else (origin,)

    def _product(self, name: str, kind: str, first: tuple[int, ...], second: tuple[int, ...]) -> Product:
        """One operation of noise and a weight."""
        a, b = (np.random.default_rng(0).random(shape, np.float32) for shape in (first, second))
        graph = helper.make_graph(
            [helper.make_node(kind, ["a", "b"], ["c"])],
            "product",
            [helper.make_tensor_value_info("a", TensorProto.FLOAT, first)],
            [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(b, "b")],
        )
        path = self._folder / f"{kind}{first[1]}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION), path)
        run = partial(open_session(path, self._threads).run, ["c"], {"a": a})
        return Product(name, math.prod(first) * second[kind == "MatMul"], run)


def read_operations(graph: Any) -> list[Operation]:
    """The operations of an onnx.GraphProto that depend on what its input holds, not on its shape alone, in order."""
    shapes = _shapes(graph)
    weights = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    makers = {value.name: "" for value in graph.input}  # the name of the operation that gives it
    operations = []
    for node in graph.node:
        before = [makers[name] for name in node.input if name in makers]
        if node.op_type in ("Shape", "Size") or not before:
            continue
        name = _name(node)
        makers |= dict.fromkeys(node.output, name)
        shape = shapes.get(node.output[0], ())
        first = shapes.get(node.input[0], ())
        kernel = weights.get(node.input[1], ()) if node.op_type in CONVOLUTIONS else ()
        groups = next((one.i for one in node.attribute if one.name == "group"), 1)
        macs = _macs(node.op_type, kernel, first, shape)
        operations.append(Operation(name, node.op_type, tuple(filter(None, before)), shape, macs, kernel, groups))
    return operations


def _name(node: Any) -> str:
    return str(node.name or node.output[0])


def _macs(kind: str, kernel: tuple[int, ...], first: tuple[int, ...], output: tuple[int, ...]) -> int:
    if kind in CONVOLUTIONS:
        return math.prod(kernel) * math.prod((first if kind == "ConvTranspose" else output)[2:])
    return product_macs(first, output) if kind in PRODUCTS else 0


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Of all values, as the file or ONNX's inference tells them, for a batch of one."""
    inferred = shape_inference.infer_shapes(helper.make_model(graph)).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    shapes = {one.name: tuple(dim.dim_value or 1 for dim in one.type.tensor_type.shape.dim) for one in values}
    return shapes | {weight.name: tuple(weight.dims) for weight in graph.initializer}

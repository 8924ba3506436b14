"""What another project's graph costs, counted node by node: parameters, operations, and memory for activations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightpose.errors import MissingPackageError, WeightsError

__all__ = ["GraphCost", "NodeCost", "count_graph"]

IN_PLACE = {"Add", "BatchNormalization", "Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "Relu", "Sigmoid"}
"""Nodes that may write over an operand that is free then."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NodeCost:
    """One node that multiplies by weights, or matrices. paper: weights times pixels given, as the paper counts them."""

    name: str
    kind: str
    output: Shape
    parameters: int
    paper: int
    macs: int


@dataclass(frozen=True)
class GraphCost:
    """parameters: numbers in constants that are floats. activation_bytes: as in `Profile`."""

    parameters: int
    activation_bytes: int
    nodes: tuple[NodeCost, ...]


def count_graph(path: Path, input_shape: Shape) -> GraphCost:
    """Count a graph for an input of that shape.

    Raises MissingPackageError without onnx, WeightsError if the shapes in the graph cannot be told.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingPackageError("onnx", "quantize") from error
    model = onnx.load(str(path))
    graph = model.graph
    for side, value in zip(graph.input[0].type.tensor_type.shape.dim, input_shape, strict=True):
        side.dim_value = value
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    constants = {each.name: tuple(each.dims) for each in inferred.initializer}
    floats = {each.name for each in inferred.initializer if each.data_type in (1, 10, 11)}
    shapes = {each.name: _shape(each) for each in (*inferred.value_info, *inferred.output, *inferred.input)}
    nodes = [node for node in inferred.node if node.op_type != "Constant"]
    unknown = [name for node in nodes for name in node.output if name and not shapes.get(name)]
    if unknown:
        raise WeightsError(f"{path}: the shape of its value {unknown[0]} cannot be told, so it cannot be counted")
    costs = tuple(cost for node in nodes if (cost := _cost(node, constants, shapes)) is not None)
    parameters = sum(math.prod(constants[name]) for name in floats)
    return GraphCost(parameters, 4 * _most_alive(nodes, shapes, inferred), costs)


def _shape(value: Any) -> Shape:
    """Of a value; () where a side is not known."""
    sides = [side.dim_value for side in value.type.tensor_type.shape.dim]
    return tuple(sides) if all(sides) else ()


def _cost(node: Any, constants: dict[str, Shape], shapes: dict[str, Shape]) -> NodeCost | None:
    """Of a convolution, a transposed one or a product of matrices; None for other nodes."""
    output = shapes[node.output[0]]
    first, second, *_ = [*(shapes.get(name) or constants.get(name, ()) for name in node.input[:2]), (), ()]
    if node.op_type == "Conv":
        paper = math.prod(second) * math.prod(output[2:])
        macs = math.prod(output) * math.prod(second[1:])
    elif node.op_type == "ConvTranspose":
        paper = math.prod(second) * math.prod(output[2:])
        macs = math.prod(first) * math.prod(second[1:])
    elif node.op_type in ("MatMul", "Gemm"):
        turned = any(each.name == "transA" and each.i for each in node.attribute)
        paper, macs = 0, math.prod(output) * (first[0] if turned else first[-1])
    else:
        return None
    own = sum(math.prod(constants[name]) for name in node.input[1:] if name in constants)
    return NodeCost(node.name or node.output[0], node.op_type, output, own, paper, macs)


def _most_alive(nodes: list[Any], shapes: dict[str, Shape], graph: Any) -> int:
    """The most numbers of input and activations that are needed at once, if each is freed after its last use."""
    last = {name: place for place, node in enumerate(nodes) for name in node.input}
    last |= {each.name: len(nodes) for each in graph.output}
    alive = {graph.input[0].name: math.prod(shapes[graph.input[0].name])}
    most = sum(alive.values())
    for place, node in enumerate(nodes):
        given = {name: math.prod(shapes[name]) for name in node.output if name}
        ending = [name for name in set(node.input) & set(alive) if last[name] == place]
        over = max((alive[name] for name in ending), default=0) if node.op_type in IN_PLACE else 0
        most = max(most, sum(alive.values()) + sum(given.values()) - min(over, *given.values()))
        alive |= given
        for name in ending:
            del alive[name]
    return most

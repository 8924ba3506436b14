"""int8 for ONNX Runtime: a graph's convolutions, with their ReLUs and additions, in 8 bits."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lightpose.errors import MissingPackageError
from lightpose.export.onnx_graph import Graph
from lightpose.io.files import write_aside
from lightpose.types import AP_LOSS_KEY, FloatArray, ImageArray

__all__ = ["PAIR_LIMIT", "adjacent_sums", "fold_normalisation", "quantized", "record_ap_loss"]

OPERATORS = ["Conv", "Relu", "Add", "MaxPool"]
"""What is computed in 8 bits. With convolutions alone, each would turn its result into floats and back."""

PAIR_LIMIT = 128
"""The most that two neighbouring weights of one sign may add up to.

CPUs without VNNI multiply 8-bit numbers in pairs and add each pair in 16 bits, at most 32,767. A value is at most 255,
and 255 · 128 = 32,640.
"""

Tensor = Callable[[ImageArray], NDArray[Any]]


def _as_they_are(crops: ImageArray) -> NDArray[Any]:
    return crops


def quantized(path: Path, calibration: ImageArray, tensor: Tensor = _as_they_are) -> Any:
    """An exported network as onnx.ModelProto in int8, with the metadata of the original.

    calibration: its inputs (N, H, W, 3) uint8, whose smallest and largest values set the scales. tensor: these as the
    graph takes them. The last convolutions, which give heatmaps or boxes and scores, and all that follows them, stay in
    float. Raises MissingPackageError without the package onnx.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise MissingPackageError("onnx", "quantize") from error
    original = onnx.load(str(path))
    for number, node in enumerate(original.graph.node):
        node.name = node.name or f"node{number}"  # nodes are told apart by their names
    graph = Graph(original)
    graph.join_halves()
    end = _end_of(graph)
    pixels = fold_normalisation(graph)
    with tempfile.TemporaryDirectory() as folder, _unheard():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(original, str(source))
        quantize_static(
            source,
            target,
            _Crops(calibration, original.graph.input[0].name, tensor),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=end,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"TensorQuantOverrides": pixels},
        )
        result = onnx.load(str(target))
    done = Graph(result)
    for name in pixels:
        _drop_conversion(done, name)
    _fit_weights(done, graph)
    done.drop_unused()
    onnx.helper.set_model_props(result, {each.key: each.value for each in original.metadata_props})
    onnx.checker.check_model(result)
    return result


def record_ap_loss(path: Path, points: float) -> None:
    """Write into an int8 file how many points of AP it lost, so that it may be chosen where no precision is named."""
    import onnx

    model = onnx.load(str(path))
    facts = {each.key: each.value for each in model.metadata_props}
    onnx.helper.set_model_props(model, {**facts, AP_LOSS_KEY: f"{points:.2f}"})
    write_aside(path, model.SerializeToString())


class _Crops:
    """Crops one by one, as the calibration asks for them."""

    def __init__(self, crops: ImageArray, name: str, tensor: Tensor) -> None:
        self._crops, self._name, self._tensor = iter(crops), name, tensor

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        crop = next(self._crops, None)
        return None if crop is None else {self._name: self._tensor(crop[None])}


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep ONNX Runtime's advice on what to do before a quantization, and on unused constants, from the terminal."""

    def is_no_advice(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    logging.getLogger().addFilter(is_no_advice)
    onnxruntime.set_default_logger_severity(4)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(2)  # as it is at first
        logging.getLogger().removeFilter(is_no_advice)


def _end_of(graph: Graph) -> list[str]:
    """Names of the convolutions between which and the outputs there is no other, and of all that comes after them."""
    waiting, seen, last = list(graph.outputs), set[str](), []
    while waiting:
        value = waiting.pop()
        node = None if value in seen else graph.source(value)
        seen.add(value)
        if node is not None and node.op_type == "Conv":
            last.append(node)
        elif node is not None:
            waiting += node.input
    found, after = {}, list(last)
    while after:
        node = after.pop()
        if node.name not in found:
            found[node.name] = node
            after += [user for value in node.output for user in graph.users(value)]
    return list(found)


def fold_normalisation(graph: Graph) -> dict[str, list[dict[str, np.ndarray[Any, Any]]]]:
    """Fold the normalisation of pixels into the first convolution, so that it takes the crops' bytes as they are.

    (p - mean) · scale · w = (p - z) · (scale · w) + (z - mean) · (scale · w), where z is one number for all colours.
    Around the crop, the bytes are z and not each colour's mean: that differs by at most a few grey values. Returns the
    scale and zero point that are right for the value that is p - z, by its name; empty if the graph begins otherwise.
    """
    first = next(node for node in graph.nodes if node.op_type == "Conv")
    multiply = graph.source(first.input[0])
    subtract = multiply and graph.source(multiply.input[0])
    cast = subtract and graph.source(subtract.input[0])
    kinds = [node.op_type if node is not None else "" for node in (cast, subtract, multiply)]
    turned = graph.source(cast.input[0]) if kinds == ["Cast", "Sub", "Mul"] else None
    if turned is None or turned.op_type != "Transpose":
        return {}
    mean, scale = (graph.constant(node.input[1]) for node in (subtract, multiply))
    weights = graph.constant(first.input[1])
    if mean is None or scale is None or weights is None or mean.size != 3 or scale.size != 3:
        return {}
    if len(first.input) < 3:
        first.input.append(graph.put(f"{first.name}_offset", np.zeros(len(weights), np.float32)))
    bias = graph.constant(first.input[2])
    if bias is None:
        return {}
    zero = int(np.rint(mean.mean()).clip(0, 255))
    scaled = weights.astype(np.float64) * scale.reshape(1, 3, 1, 1)
    graph.put(first.input[2], (bias + (scaled * (zero - mean.reshape(1, 3, 1, 1))).sum((1, 2, 3))).astype(np.float32))
    graph.put(subtract.input[1], np.array(zero, np.float32))
    first.input[0] = subtract.output[0]
    graph.nodes.remove(multiply)
    graph.put(first.input[1], _by_fours(graph, first, turned, scaled).astype(np.float32))
    return {subtract.output[0]: [{"scale": np.array(1, np.float32), "zero_point": np.array(zero, np.uint8)}]}


def _by_fours(graph: Graph, first: Any, turned: Any, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let the first convolution take squares of four pixels as twelve channels; returns its new weights.

    A kernel of 7 and stride 2 on 3 channels becomes one of 4 and stride 1 on 12: the same sums, of numbers that lie
    together in memory.
    """
    attributes = {each.name: each for each in first.attribute}
    side, _, rows, columns = weights.shape
    before = rows // 2
    shape = graph.input_hw
    fits = rows == columns and before % 2 == 1 and rows % 2 == 1 and not any(each % 2 for each in shape)
    wanted = {"strides": [2, 2], "pads": [before] * 4, "dilations": [1, 1]}
    if not fits or any(list(attributes[name].ints) != value for name, value in wanted.items() if name in attributes):
        return weights
    pairs = (rows + 1) // 2
    padded = np.zeros((side, 3, rows + 1, columns + 1))
    padded[:, :, 1:, 1:] = weights
    folded = padded.reshape(side, 3, pairs, 2, pairs, 2).transpose(0, 3, 5, 1, 2, 4).reshape(side, 12, pairs, pairs)
    new = {"strides": [1, 1], "pads": [(before + 1) // 2] * 2 + [pairs - 1 - (before + 1) // 2] * 2}
    for name, value in {**new, "kernel_shape": [pairs, pairs]}.items():
        attributes[name].ints[:] = value
    height, width = (each // 2 for each in shape)
    squares = graph.put("squares_shape", np.array([0, height, 2, width, 6]))
    channels = graph.put("channels_shape", np.array([0, height, width, 12]))
    rows_of = graph.insert(turned, "Reshape", [turned.input[0], squares], "crops_in_rows")
    together = graph.insert(turned, "Transpose", [rows_of], "crops_in_squares", perm=[0, 1, 3, 2, 4])
    turned.input[0] = graph.insert(turned, "Reshape", [together, channels], "crops_by_fours")
    return folded


def _drop_conversion(graph: Graph, name: str) -> None:
    """Let what took the bytes as floats, and those as bytes again, take the bytes."""
    subtract = graph.source(name)
    cast = graph.source(subtract.input[0])
    for quantize in graph.users(name):
        for user in graph.users(quantize.output[0]):
            user.input[0] = cast.input[0]


def _fit_weights(graph: Graph, original: Graph) -> None:
    """Choose each channel's scale as small as neighbouring weights allow (`PAIR_LIMIT`), and set biases by it.

    Depthwise convolutions are computed in other ways, so their weights may use all 8 bits.
    """
    floats = {node.name: node for node in original.nodes if node.op_type == "Conv"}
    for node, (values, weights, *bias) in list(_quantized_convolutions(graph)):
        exact, *exact_bias = (original.constant(name) for name in floats[node.name].input[1:])
        assert exact is not None
        scale = np.abs(exact).reshape(len(exact), -1).max(1) / 127
        if exact.shape[1] > 1:
            scale = np.maximum(scale, adjacent_sums(exact).max(1) / (PAIR_LIMIT - 1))  # rounding adds at most 1
        scale = np.maximum(scale, 1e-12).astype(np.float32)
        graph.put(weights.input[0], np.rint(exact / scale.reshape(-1, 1, 1, 1)).astype(np.int8))
        graph.put(weights.input[1], scale)
        if bias:
            of_sum = graph.constant(values.input[1]) * scale
            constants = [
                graph.put(f"{node.name}_bias", np.rint(exact_bias[0] / of_sum).astype(np.int32)),
                graph.put(f"{node.name}_bias_scale", of_sum.astype(np.float32)),
                graph.put(f"{node.name}_bias_zero", np.zeros(len(of_sum), np.int32)),
            ]
            node.input[2] = graph.insert(node, "DequantizeLinear", constants, f"{node.name}_bias_float", axis=0)


def _quantized_convolutions(graph: Graph) -> Iterator[tuple[Any, list[Any]]]:
    """Each convolution whose values and weights are 8-bit, with the nodes that make floats of its inputs."""
    for node in graph.nodes:
        if node.op_type == "Conv":
            parts = [graph.source(value) for value in node.input]
            if all(part is not None and part.op_type == "DequantizeLinear" for part in parts):
                yield node, parts


def adjacent_sums(weights: FloatArray) -> FloatArray:
    """Sums of the positive parts, and of the negative ones, of neighbours among a convolution's weights, by channel.

    weights: (O, I, h, w). Returns (O, n), none below 0. Neighbours are those of both orders in which engines multiply:
    by place and then by input channel, and the reverse.
    """
    orders: list[Callable[[FloatArray], FloatArray]] = [lambda each: each, lambda each: each.transpose(0, 2, 3, 1)]
    found = [np.zeros((len(weights), 1), weights.dtype)]
    for order in orders:
        flat = order(weights).reshape(len(weights), -1)
        found += [part[:, :-1] + part[:, 1:] for part in (np.maximum(flat, 0), np.maximum(-flat, 0))]
    return np.concatenate(found, axis=1)

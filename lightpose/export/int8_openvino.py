"""int8 for OpenVINO: a graph's dense convolutions in 8 bits, by NNCF's post-training quantization."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from lightpose.errors import ConfigError, MissingPackageError
from lightpose.runtime.openvino import fold_constants, read_graph
from lightpose.types import ImageArray, ModelSpec

__all__ = ["quantized"]

FLOAT_KINDS = ["MatMul", "Softmax", "MVN", "Add", "Multiply", "Subtract", "GroupConvolution"]
"""Operators that stay in floating point: normalisation, attention, layer norm and depthwise convolutions are made of
them. They are a small part of the work; in int8 the depthwise ones cost accuracy and bring no speed."""


def quantized(path: Path, calibration: ImageArray) -> tuple[Any, ModelSpec]:
    """An exported network (.onnx or .xml) as openvino.Model in int8, and its spec.

    calibration: crops (N, H, W, 3) uint8, whose ranges of values set the scales. Raises ConfigError if the file is in
    int8 already, MissingPackageError without NNCF.
    """
    graph, spec = read_graph(path)
    if any(node.get_type_name() == "FakeQuantize" for node in graph.get_ops()):
        raise ConfigError(f"{path} is in int8 already; give the file that it was made from")
    return _quantized(graph, calibration), spec


def _quantized(graph: Any, calibration: ImageArray) -> Any:
    """The graph with its dense convolutions in int8, but for those whose values are the heatmaps.

    NNCF keeps the first one's weights to 7 bits: with 8 the sums of CPUs without VNNI overflow there, and nowhere else
    (2 px off). Scales reach the largest values of all crops, not NNCF's mean of each crop's largest, which cuts the
    peaks of heatmaps off. Its bias correction is left out: it moved keypoints further, not less.
    """
    try:
        import nncf
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    except ImportError as error:
        raise MissingPackageError("nncf", "quantize") from error
    fold_constants(graph)  # NNCF tells weights and biases by their being constants
    kinds = {node.get_type_name() for node in graph.get_ops()}
    ignored = nncf.IgnoredScope(names=_end_of(graph), types=[kind for kind in FLOAT_KINDS if kind in kinds])
    crops = nncf.Dataset([crop[None] for crop in calibration])
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # its progress bars
        return nncf.quantize(
            graph,
            crops,
            subset_size=len(calibration),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=ignored,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_bias_correction=True,
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            ),
        )


def _end_of(graph: Any) -> list[str]:
    """Names of the convolutions between which and the heatmaps there is no other, and of all that comes after them.

    The decoding must be named: NNCF would quantize what it reads of the heatmaps, and they would stay as they are.
    """

    def before(node: Any) -> list[Any]:
        return [] if _is_convolution(node) else [value.get_source_output().get_node() for value in node.inputs()]

    def after(node: Any) -> list[Any]:
        return [target.get_node() for value in node.outputs() for target in value.get_target_inputs()]

    heatmaps = next(output.get_node() for output in graph.outputs if "heatmaps" in output.get_names())
    last = [node for node in _reach([heatmaps], before) if _is_convolution(node)]
    return [node.get_friendly_name() for node in _reach(last, after) if node.get_type_name() != "Result"]


def _is_convolution(node: Any) -> bool:
    return "Convolution" in node.get_type_name()


def _reach(nodes: list[Any], step: Callable[[Any], list[Any]]) -> list[Any]:
    """Nodes of a graph, and all that one comes to from them step by step."""
    waiting, found = list(nodes), {}
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in found:
            found[node.get_friendly_name()] = node
            waiting += step(node)
    return list(found.values())

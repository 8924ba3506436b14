"""Networks in 8-bit integers: OpenVINO graphs by NNCF's post-training quantization, held against their originals."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.errors import ConfigError, MissingPackageError, WeightsError
from lightpose.inference.top_down import PredictOptions, predict_crops
from lightpose.io.files import written_aside
from lightpose.runtime import Runtime
from lightpose.runtime.ir import SOURCE_KEY
from lightpose.runtime.openvino import OpenVinoRuntime, fold_constants, read_graph, save_graph
from lightpose.types import ImageArray
from lightpose.weights import file_sha256, find_weights

__all__ = ["CONFIDENT", "Shift", "Speed", "compare_keypoints", "compare_speed", "quantize"]

CONFIDENT = 0.2
"""Joints that score more are compared; it is the paper's bound for scoring a person."""

DECODING_BOUND_PX = 0.05
"""The most by which the graph's own keypoints may be off its own heatmaps, in crop pixels."""

FLOAT_KINDS = ["MatMul", "Softmax", "MVN", "Add", "Multiply", "Subtract", "GroupConvolution"]
"""Operators that stay in floating point: normalisation, attention, layer norm and depthwise convolutions are made of
them. They are a small part of the work; in int8 the depthwise ones cost accuracy and bring no speed."""


@dataclass(frozen=True)
class Shift:
    """How far keypoints moved, in crop pixels, over the joints of which the original is sure.

    crops, joints: how many were compared. heatmaps: the largest difference of a heatmap value.
    """

    crops: int
    joints: int
    heatmaps: float
    mean_px: float
    p95_px: float


@dataclass(frozen=True)
class Speed:
    """Median times of a batch of one, run in turn, in ms, and how often one goes into the other."""

    before_ms: float
    after_ms: float

    @property
    def ratio(self) -> float:
        return self.before_ms / self.after_ms


def quantize(
    model: str | Path, out: str | Path, calibration: ImageArray, held_out: ImageArray, max_shift_px: float = 1.0
) -> Shift:
    """Write an exported network (.onnx or .xml, or bundled by name) with its convolutions in int8, as .xml and .bin.

    calibration: crops (N, H, W, 3) uint8, whose ranges of values set the scales. held_out: other ones, to compare on.
    Returns how far their keypoints moved; if that is more than `max_shift_px` in the mean, or the graph decodes its
    heatmaps wrongly, raises WeightsError and leaves no file. Raises MissingPackageError without NNCF and OpenVINO.
    """
    out, path = Path(out), find_weights(model)
    if out.suffix != ".xml":
        raise ConfigError(f"{out} must end in .xml: int8 graphs are OpenVINO's")
    if path.suffix not in (".onnx", ".xml"):
        raise ConfigError(f"{path} must be exported first: lightpose export {path} --out {path.with_suffix('.onnx')}")
    if not len(calibration) or not len(held_out):
        raise ConfigError("calibration and comparison need a crop each at least; name more pictures of people")
    if not max_shift_px > 0:
        raise ConfigError(f"the largest shift must be above 0 px, not {max_shift_px}")
    graph, spec = read_graph(path)
    if any(node.get_type_name() == "FakeQuantize" for node in graph.get_ops()):
        raise ConfigError(f"{path} is in int8 already; give the file that it was made from")
    with written_aside(out.with_suffix(".bin"), out) as (_, aside):
        quantized = _quantized(graph, calibration)
        quantized.set_rt_info(file_sha256(path), [SOURCE_KEY])
        save_graph(quantized, spec, aside)
        return _check(path, aside, held_out, max_shift_px)


def _check(path: Path, int8: Path, crops: ImageArray, max_shift_px: float) -> Shift:
    """How far keypoints moved. Raises WeightsError if it is too far, or if the graph's own are not its heatmaps'."""
    graph = OpenVinoRuntime(int8)
    points = predict_crops(crops, graph, PredictOptions(decoder="softargmax"))
    off_px = float(np.abs(graph.keypoints(crops) - points)[..., :2].max())
    if not off_px <= DECODING_BOUND_PX:
        raise WeightsError(
            f"the int8 graph's own keypoints are {off_px:.2f} px off its heatmaps, so it was not kept; export the "
            "network again, or install other versions of nncf and openvino"
        )
    shift = compare_keypoints(OpenVinoRuntime(path), graph, crops)
    if not shift.mean_px <= max_shift_px:
        raise WeightsError(
            f"in int8 the keypoints moved by {shift.mean_px:.2f} px in the mean, more than {max_shift_px:g}, so it "
            "was not kept; calibrate on more crops like those it is for, or allow more"
        )
    return shift


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


def compare_keypoints(before: Runtime, after: Runtime, crops: ImageArray) -> Shift:
    """What another form of the same network changes, on crops (N, H, W, 3). Raises WeightsError if no joint is sure."""
    options = PredictOptions()
    points, moved = (predict_crops(crops, runtime, options) for runtime in (before, after))
    sure = points[..., 2] > CONFIDENT
    if not sure.any():
        raise WeightsError(
            f"no joint scores above {CONFIDENT} on the crops to compare on; name pictures of people, or train longer"
        )
    distances = np.linalg.norm((moved - points)[..., :2], axis=-1)[sure]
    return Shift(
        crops=len(crops),
        joints=int(sure.sum()),
        heatmaps=float(np.abs(after.heatmaps(crops) - before.heatmaps(crops)).max()),
        mean_px=float(distances.mean()),
        p95_px=float(np.percentile(distances, 95)),
    )


def compare_speed(before: Runtime, after: Runtime, crops: ImageArray, rounds: int = 30) -> Speed:
    """Times of one crop after another by both networks in turn, so that what else the machine does meets both."""
    times: tuple[list[float], list[float]] = ([], [])
    for place in range(rounds + 2):
        crop = crops[place % len(crops)][None]
        for runtime, kept in zip((before, after), times, strict=True):
            taken = _time_ms(runtime.heatmaps, crop)
            if place > 1:  # the first two warm up
                kept.append(taken)
    return Speed(float(np.median(times[0])), float(np.median(times[1])))


def _time_ms(run: Callable[[ImageArray], object], crop: ImageArray) -> float:
    start = time.perf_counter()
    run(crop)
    return 1000 * (time.perf_counter() - start)

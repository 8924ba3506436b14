"""Networks in 8-bit integers: OpenVINO graphs by NNCF's post-training quantization, held against their originals."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.errors import ConfigError, MissingPackageError, WeightsError
from lightpose.predict import PredictOptions, predict_crops
from lightpose.runtime import Runtime
from lightpose.runtime.openvino import OpenVinoRuntime, read_graph, save_graph
from lightpose.types import ImageArray
from lightpose.weights import find_weights

__all__ = ["CONFIDENT", "Shift", "Speed", "compare_keypoints", "compare_speed", "quantize"]

CONFIDENT = 0.2
"""Joints that score more are compared; it is the paper's bound for scoring a person."""

FLOAT_KINDS = ["MatMul", "Softmax", "MVN", "Add", "Multiply", "Exp", "ReduceSum", "ReduceMax"]
"""Operators that stay in floating point: attention, layer norm and soft-argmax are made of them, and cost little."""


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
    Returns how far their keypoints moved; if that is more than `max_shift_px` in the mean, raises WeightsError and
    leaves no file. Raises MissingPackageError without NNCF and OpenVINO.
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
    aside = out.with_name(f".{out.stem}.{os.getpid()}.unchecked.xml")
    try:
        save_graph(_quantized(graph, calibration), spec, aside)
        shift = compare_keypoints(OpenVinoRuntime(path), OpenVinoRuntime(aside), held_out)
        if not shift.mean_px <= max_shift_px:
            raise WeightsError(
                f"in int8 the keypoints moved by {shift.mean_px:.2f} px in the mean, more than {max_shift_px:g}, so it "
                "was not kept; calibrate on more crops like those it is for, or allow more"
            )
        aside.with_suffix(".bin").replace(out.with_suffix(".bin"))
        aside.replace(out)
    finally:
        for file in (aside, aside.with_suffix(".bin")):
            file.unlink(missing_ok=True)
    return shift


def _quantized(graph: Any, calibration: ImageArray) -> Any:
    """The graph with int8 convolutions, but for the last one, whose values are the heatmaps."""
    try:
        import nncf
    except ImportError as error:
        raise MissingPackageError("nncf", "quantize") from error
    kinds = {node.get_type_name() for node in graph.get_ops()}
    ignored = nncf.IgnoredScope(names=_last_convolutions(graph), types=[kind for kind in FLOAT_KINDS if kind in kinds])
    crops = nncf.Dataset([crop[None] for crop in calibration])
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # its progress bars
        return nncf.quantize(
            graph,
            crops,
            subset_size=len(calibration),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=ignored,
        )


def _last_convolutions(graph: Any) -> list[str]:
    """Names of the convolutions between which and the heatmaps there is no other."""
    start = next(output.get_node() for output in graph.outputs if "heatmaps" in output.get_names())
    waiting, seen, found = [start], set(), []
    while waiting:
        node = waiting.pop()
        name = node.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        if "Convolution" in node.get_type_name():
            found.append(name)
        else:
            waiting += [value.get_source_output().get_node() for value in node.inputs()]
    return found


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

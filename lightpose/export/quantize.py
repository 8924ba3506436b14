"""Networks in 8-bit integers, for ONNX Runtime or OpenVINO, held against their originals."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, cast

import numpy as np

from lightpose.errors import ConfigError, WeightsError
from lightpose.inference.top_down import PredictOptions, predict_crops
from lightpose.io.files import write_aside, written_aside
from lightpose.runtime import Runtime
from lightpose.types import SOURCE_KEY, SPEC_KEY, FloatArray, ImageArray
from lightpose.weights import file_sha256, find_weights
from lightpose.weights.open import open_runtime

__all__ = [
    "CONFIDENT",
    "Shift",
    "Speed",
    "check_formats",
    "compare_keypoints",
    "compare_speed",
    "quantize",
    "write_int8",
]

Input = TypeVar("Input")

CONFIDENT = 0.2
"""Joints that score more are compared; it is the paper's bound for scoring a person."""

DECODING_BOUND_PX = 0.05
"""The most by which the graph's own keypoints may be off its own heatmaps, in crop pixels."""


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

    @property
    def compared(self) -> int:
        """On how much the comparison rests."""
        return self.joints

    def to_text(self) -> str:
        """All of it, for people to read."""
        return (
            f"keypoints moved by {self.mean_px:.2f} px in the mean, 95 % by at most {self.p95_px:.2f} px, heatmaps "
            f"by at most {self.heatmaps:.2f} ({self.joints} sure joints on {self.crops} crops held out)"
        )


@dataclass(frozen=True)
class Speed:
    """Median times of one input, run in turn, in ms, and how often one goes into the other."""

    before_ms: float
    after_ms: float

    @property
    def ratio(self) -> float:
        return self.before_ms / self.after_ms


def quantize(
    model: str | Path, out: str | Path, calibration: ImageArray, held_out: ImageArray, max_shift_px: float = 1.0
) -> Shift:
    """Write an exported network (.onnx or .xml, or bundled by name) with its convolutions in int8.

    out: an .onnx file is for ONNX Runtime; an .xml file, with its .bin, for OpenVINO. calibration: crops (N, H, W, 3)
    uint8, whose ranges of values set the scales. held_out: other ones, to compare on. Returns how far their keypoints
    moved; if that is more than `max_shift_px` in the mean, or the graph decodes its heatmaps wrongly, raises
    WeightsError and leaves no file. Raises MissingPackageError without onnx, or NNCF and OpenVINO.
    """
    out, path = Path(out), find_weights(model)
    check_formats(path, out)
    if not len(calibration) or not len(held_out):
        raise ConfigError("calibration and comparison need a crop each at least; name more pictures of people")
    if not max_shift_px > 0:
        raise ConfigError(f"the largest shift must be above 0 px, not {max_shift_px}")
    before = open_runtime(path)
    if before.precision == "int8":
        raise ConfigError(f"{path} is in int8 already; give the file that it was made from")
    files = [out] if out.suffix == ".onnx" else [out.with_suffix(".bin"), out]
    with written_aside(*files) as (*_, aside):
        write_int8(before, path, aside, calibration)
        if before.spec.adopted:
            return _moved(before, open_runtime(aside), held_out, max_shift_px)
        return _check(before, cast("_Graph", open_runtime(aside)), held_out, max_shift_px)


def write_int8(before: Runtime, path: Path, out: Path, calibration: ImageArray) -> None:
    """Write the int8 file of an open network and its file, as `quantize` does, without a look at what it lost."""
    if before.spec.adopted:
        _write_adopted(before, path, out, calibration)
    else:
        _WRITERS[out.suffix](path, out, calibration)


def check_formats(path: Path, out: Path) -> None:
    """Raise ConfigError if a network cannot be made an int8 file of that kind."""
    if out.suffix not in (".onnx", ".xml"):
        raise ConfigError(f"{out} must end in .onnx, for ONNX Runtime, or .xml, for OpenVINO")
    if path.suffix == ".zip":
        raise ConfigError(f"{path} must be adopted first: lightpose weights adopt {path} --out {path.stem}.onnx")
    if path.suffix not in (".onnx", ".xml"):
        raise ConfigError(f"{path} must be exported first: lightpose export {path} --out {path.with_suffix('.onnx')}")
    if out.suffix == ".onnx" and path.suffix == ".xml":
        raise ConfigError(f"{path} is OpenVINO's; for ONNX Runtime give the .onnx file of the same network")


class _Graph(Runtime, Protocol):
    """An exported graph, which decodes its own heatmaps."""

    def keypoints(self, crops: ImageArray) -> FloatArray:
        """(N, H, W, 3) uint8 RGB → (N, K, 3): x, y in crop pixels, score."""


def _write_onnx(path: Path, out: Path, calibration: ImageArray) -> None:
    from lightpose.export.int8_onnx import quantized

    graph = quantized(path, calibration)
    graph.metadata_props.add(key=SOURCE_KEY, value=file_sha256(path))
    write_aside(out, graph.SerializeToString())


def _write_openvino(path: Path, out: Path, calibration: ImageArray) -> None:
    from lightpose.export.int8_openvino import quantized
    from lightpose.runtime.openvino import save_graph

    graph, spec = quantized(path, calibration)
    graph.set_rt_info(file_sha256(path), [SOURCE_KEY])
    save_graph(graph, spec, out)


def _write_adopted(before: Runtime, path: Path, out: Path, calibration: ImageArray) -> None:
    """The same of another project's graph, with what it is inside. Raises ConfigError for OpenVINO."""
    from lightpose.export.int8_onnx import quantized
    from lightpose.runtime.adopted import AdoptedRuntime

    if out.suffix != ".onnx":
        raise ConfigError(f"{path} is another project's: int8 is for ONNX Runtime alone; name an --out in .onnx")
    assert isinstance(before, AdoptedRuntime)
    graph = quantized(path, calibration, before.tensor)
    told = {each.key: each.value for each in graph.metadata_props}
    for key, value in {SPEC_KEY: before.spec.to_json(), SOURCE_KEY: file_sha256(path)}.items():
        if key not in told:
            graph.metadata_props.add(key=key, value=value)
    write_aside(out, graph.SerializeToString())


_WRITERS: dict[str, Callable[[Path, Path, ImageArray], None]] = {".onnx": _write_onnx, ".xml": _write_openvino}


def _check(before: Runtime, after: _Graph, crops: ImageArray, max_shift_px: float) -> Shift:
    """How far keypoints moved. Raises WeightsError if it is too far, or if the graph's own are not its heatmaps'."""
    points = predict_crops(crops, after, PredictOptions(decoder="softargmax"))
    off_px = float(np.abs(after.keypoints(crops) - points)[..., :2].max())
    if not off_px <= DECODING_BOUND_PX:
        raise WeightsError(
            f"the int8 graph's own keypoints are {off_px:.2f} px off its heatmaps, so it was not kept; export the "
            "network again, or install other versions of the packages that quantize"
        )
    return _moved(before, after, crops, max_shift_px)


def _moved(before: Runtime, after: Runtime, crops: ImageArray, max_shift_px: float) -> Shift:
    """How far keypoints moved. Raises WeightsError if it is too far."""
    shift = compare_keypoints(before, after, crops)
    if not shift.mean_px <= max_shift_px:
        raise WeightsError(
            f"in int8 the keypoints moved by {shift.mean_px:.2f} px in the mean, more than {max_shift_px:g}, so it "
            "was not kept; calibrate on more crops like those it is for, or allow more"
        )
    return shift


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


def compare_speed(
    before: Callable[[Input], object], after: Callable[[Input], object], inputs: Sequence[Input], rounds: int = 30
) -> Speed:
    """Times of one input after another by both networks in turn, so that what else the machine does meets both."""
    times: tuple[list[float], list[float]] = ([], [])
    for place in range(rounds + 2):
        for run, kept in zip((before, after), times, strict=True):
            taken = _time_ms(run, inputs[place % len(inputs)])
            if place > 1:  # the first two warm up
                kept.append(taken)
    return Speed(float(np.median(times[0])), float(np.median(times[1])))


def _time_ms(run: Callable[[Input], object], given: Input) -> float:
    start = time.perf_counter()
    run(given)
    return 1000 * (time.perf_counter() - start)

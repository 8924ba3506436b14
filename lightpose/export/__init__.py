"""Write trained networks as files that other programs run: ONNX, OpenVINO, TorchScript, int8.

from lightpose import export
print(export.run("runs/mine/best.safetensors", "mine.onnx").parity)
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightpose.errors import ConfigError, MissingPackageError, WeightsError
from lightpose.export.opset import check_opset
from lightpose.io.files import check_place
from lightpose.io.places import Place, check_apart, with_bin
from lightpose.types import DetectorSpec, ImageArray, Spec, TaskName

__all__ = ["Exported", "FormatName", "Quantized", "run", "run_quantize"]

if TYPE_CHECKING:
    from lightpose.export.detector import DetectorParity
    from lightpose.export.pose import Parity
    from lightpose.export.quantize import Shift, Speed
    from lightpose.export.quantize_detector import BoxShift

FormatName = Literal["onnx", "openvino", "torchscript", "safetensors"]

SUFFIXES: dict[FormatName, str] = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "torchscript": ".pt",
    "safetensors": ".safetensors",
}

HELD_OUT = 64
"""At most this many crops are kept out of the calibration, to compare the int8 network with the original."""


@dataclass(frozen=True, eq=False)
class Exported:
    """The result of an export.

    path: the file; the .bin of an .xml lies beside it. spec: what the file says of itself. title: a description in
    words. parity: the largest differences from PyTorch; None for .safetensors, which is not a graph. images: the images
    that it was compared on; None for noise.
    """

    path: Path
    spec: Spec
    title: str
    parity: Parity | DetectorParity | None
    images: Path | None

    @property
    def size_bytes(self) -> int:
        """The size of the file, and of the .bin beside an .xml."""
        return _size_bytes(self.path)


@dataclass(frozen=True, eq=False)
class Quantized:
    """The result of a quantization. path: the file; the .bin of an .xml lies beside it. task: what the network does.
    calibrated_on: the number of crops, or a detector's images. shift: how far keypoints, or boxes, moved. speed: the
    times before and after. before, after: the engines that were timed."""

    path: Path
    task: TaskName
    calibrated_on: int
    shift: Shift | BoxShift
    speed: Speed
    before: str
    after: str

    @property
    def size_bytes(self) -> int:
        """The size of the .xml and its .bin."""
        return _size_bytes(self.path)


def run(
    weights: str | Path,
    out: str | Path,
    *,
    to: FormatName | None = None,
    images: str | Path | None = None,
    input_hw: tuple[int, int] | None = None,
    opset: int | None = None,
) -> Exported:
    """Write a trained network as a graph that runs without lightpose, or as a small weights file in float16.

    weights: a .safetensors file of a pose network or person detector. to: the format; if not given, the suffix of `out`
    decides. images: an image or a folder. The graph of a pose network is compared with PyTorch on up to 16 of these
    images, each taken whole; if not given, on noise. input_hw: another input size, for detectors only. opset: of an
    .onnx file, 17 to 20; 17 if not given, which the oldest runtimes open. If the graph differs from PyTorch, raises
    WeightsError and leaves no file. Raises ConfigError if options do not go together.

        export.run("runs/mine/best.safetensors", "mine.onnx", images="photos")
    """
    weights, out = Path(weights), _named(Path(out), to)
    _check_apart(out, weights, images)
    _check_opset(out, opset)
    try:
        from lightpose.export.tasks import EXPORTERS
        from lightpose.weights.network import load_any, read_task, save_network
    except ImportError as error:
        raise MissingPackageError("torch", "train") from error
    exporter, images = EXPORTERS[read_task(weights)], None if images is None else Path(images)
    exporter.check(weights, out, images, input_hw)
    network, spec = load_any(weights)
    spec = dataclasses.replace(spec, input_hw=input_hw or spec.input_hw)
    parity = None
    if out.suffix == ".safetensors":
        save_network(out, network, spec, half=True)
    else:
        parity = exporter.write(network, spec, out, images, opset)
    return Exported(out, spec, exporter.title(spec), parity, images)


def run_quantize(
    model: str | Path,
    calibrate: str | Path,
    out: str | Path,
    *,
    images: str | Path | None = None,
    boxes: str | Path | None = None,
    crops: int = 300,
    max_shift_px: float = 1.0,
) -> Quantized:
    """Write an exported network with its convolutions in int8, and measure what changes and how fast it is.

    model: an .onnx or .xml file, or bundled weights by name; a pose network or a person detector. out: .onnx for ONNX
    Runtime, .xml for OpenVINO.
    calibrate: a COCO keypoint file, with the folder of its `images`; or an image or folder, with a JSON file of
    `boxes`, or each image taken whole. A quarter of the crops, up to 64, is kept out of the calibration for the
    comparison. crops: at most this many are used for calibration. Of a detector they are images, letterboxed.
    max_shift_px: the mean distance that keypoints may move, in pixels of the crop. If they move further, or if the
    graph decodes its own heatmaps wrongly, raises WeightsError and leaves no file. Raises MissingPackageError if onnx,
    or NNCF and OpenVINO, are missing.

        export.run_quantize("mine.onnx", "train.json", "mine_int8.onnx", images="train")
    """
    from lightpose.weights import find_weights
    from lightpose.weights.inspect import describe_weights, has_description

    out, path = Path(out), find_weights(model)
    check_place(out)
    _check_apart(out, path, calibrate, boxes)
    if crops < 1:
        raise ConfigError(f"calibration needs a crop at least, not {crops}")
    spec = describe_weights(path).spec if path.suffix == ".onnx" and has_description(path) else None
    if isinstance(spec, DetectorSpec):
        if boxes is not None:
            raise ConfigError(f"{path} is a person detector, which needs no boxes; leave --boxes out")
        return _quantize_detector(path, spec, calibrate, out, images, crops)
    return _quantize_pose(path, calibrate, out, images, boxes, crops, max_shift_px)


def _quantize_pose(
    path: Path,
    calibrate: str | Path,
    out: Path,
    images: str | Path | None,
    boxes: str | Path | None,
    crops: int,
    max_shift_px: float,
) -> Quantized:
    from lightpose.data.calibration import calibration_crops
    from lightpose.export.quantize import compare_speed, quantize
    from lightpose.weights.open import open_runtime

    before = open_runtime(path)
    found = calibration_crops(calibrate, before.spec, _wanted(crops), images=images, boxes=boxes)
    apart = _held_out(found)
    shift = quantize(path, out, found[apart:], found[:apart], max_shift_px)
    after = open_runtime(out)
    speed = compare_speed(before.heatmaps, after.heatmaps, [crop[None] for crop in found[:apart]])
    return Quantized(out, "pose", len(found) - apart, shift, speed, before.name, after.name)


def _quantize_detector(
    path: Path, spec: DetectorSpec, calibrate: str | Path, out: Path, images: str | Path | None, count: int
) -> Quantized:
    from lightpose.data.calibration import calibration_images
    from lightpose.detect.onnx import OnnxDetector
    from lightpose.export.quantize import compare_speed
    from lightpose.export.quantize_detector import quantize_detector

    found = calibration_images(calibrate, spec, _wanted(count), images=images)
    apart = _held_out(found)
    shift = quantize_detector(path, out, found[apart:], found[:apart])
    speed = compare_speed(OnnxDetector(path), OnnxDetector(out), list(found[:apart]))
    return Quantized(out, "detector", len(found) - apart, shift, speed, "onnxruntime", "onnxruntime")


def _wanted(count: int) -> int:
    """How many crops to look for, if so many are to calibrate on."""
    return count + min(HELD_OUT, (count + 2) // 3)


def _held_out(found: ImageArray) -> int:
    """How many of them are kept apart."""
    return min(HELD_OUT, (len(found) + 3) // 4)


def _named(out: Path, to: FormatName | None) -> Path:
    """The file to write, with the suffix of its format. Raises WeightsError if it has another one."""
    suffix = SUFFIXES[to] if to else out.suffix
    if suffix not in SUFFIXES.values():
        raise WeightsError(f"{out} must end in one of {', '.join(SUFFIXES.values())}, or say --to which format")
    if out.suffix not in ("", suffix):
        raise WeightsError(f"{out} must end in {suffix} for --to {to}")
    out = out.with_suffix(suffix)
    check_place(out)
    return out


def _check_opset(out: Path, opset: int | None) -> None:
    """Raise ConfigError if an opset is asked for that there is not, or of a file that is not ONNX."""
    if opset is not None:
        check_opset(opset)
        if out.suffix != ".onnx":
            raise ConfigError(f"{out} has no opset: only .onnx files have; leave --opset out")


def _check_apart(out: Path, *reads: str | Path | None) -> None:
    """Raise ConfigError if the file to write, or its .bin, is one of those that are read."""
    places = [Place("", Path(path)) for path in reads if path is not None]
    check_apart([each for place in places for each in with_bin(place)], with_bin(Place("the result", out)))


def _size_bytes(path: Path) -> int:
    """Of a file and, of an .xml, its .bin."""
    files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    return sum(file.stat().st_size for file in files)

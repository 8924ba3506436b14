"""Trained networks as files that other programs run: ONNX, OpenVINO, TorchScript, int8.

from lightpose import export
print(export.run("runs/mine/best.safetensors", "mine.onnx").parity)
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightpose.errors import MissingPackageError, WeightsError
from lightpose.io.files import check_place
from lightpose.types import Spec

__all__ = ["Exported", "FormatName", "Quantized", "run", "run_quantize"]

if TYPE_CHECKING:
    from lightpose.export.detector import DetectorParity
    from lightpose.export.pose import Parity
    from lightpose.export.quantize import Shift, Speed

FormatName = Literal["onnx", "openvino", "torchscript", "safetensors"]

SUFFIXES: dict[FormatName, str] = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "torchscript": ".pt",
    "safetensors": ".safetensors",
}

HELD_OUT = 64
"""Crops to compare an int8 network on, beside those for calibration; fewer where there are few."""


@dataclass(frozen=True, eq=False)
class Exported:
    """What was written.

    path: the file; an .xml has its .bin beside it. title: what it is, in words. parity: largest differences from
    PyTorch; None for weights, which are no graph. images: what it was compared on; None is noise.
    """

    path: Path
    spec: Spec
    title: str
    parity: Parity | DetectorParity | None
    images: Path | None

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return _size_bytes(self.path)


@dataclass(frozen=True, eq=False)
class Quantized:
    """An int8 network. calibrated_on: how many crops. before, after: the engines whose speeds were compared."""

    path: Path
    calibrated_on: int
    shift: Shift
    speed: Speed
    before: str
    after: str

    @property
    def size_bytes(self) -> int:
        """Of the .xml and its .bin."""
        return _size_bytes(self.path)


def run(
    weights: str | Path,
    out: str | Path,
    *,
    to: FormatName | None = None,
    images: str | Path | None = None,
    input_hw: tuple[int, int] | None = None,
) -> Exported:
    """Write a trained network as a graph that runs without lightpose, or as a small weights file, float16.

    weights: a .safetensors file of a pose network or person detector. to: the format; the suffix of `out` says it if
    not given. images: a file or folder whose images, up to 16, each taken whole, a pose network's graph is compared
    with PyTorch on; noise if not given. input_hw: of a detector, the size of its input if not the one it has. Raises
    WeightsError, and leaves no file, if the graph differs from PyTorch; ConfigError for what does not go together.

        export.run("runs/mine/best.safetensors", "mine.onnx", images="photos")
    """
    weights, out = Path(weights), _named(Path(out), to)
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
        parity = exporter.write(network, spec, out, images)
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
    """Write an exported network with its convolutions in int8, for OpenVINO, and measure what that costs and brings.

    model: an .onnx or .xml file, or bundled weights by name. calibrate, images, boxes: where crops come from, see
    `calibration_crops`; a quarter of them, up to 64, is kept apart to compare on. crops: the most to calibrate on.
    max_shift_px: by how much keypoints may move in the mean, in pixels of the crop. Raises WeightsError, and leaves no
    file, if it is more; MissingPackageError without NNCF and OpenVINO.

        export.run_quantize("mine.onnx", "train.json", "mine_int8.xml", images="train")
    """
    from lightpose.data.calibration import calibration_crops
    from lightpose.errors import ConfigError
    from lightpose.export.quantize import compare_speed, quantize
    from lightpose.weights.open import open_runtime

    out = Path(out)
    check_place(out)
    if crops < 1:
        raise ConfigError(f"calibration needs a crop at least, not {crops}")
    before = open_runtime(model)
    wanted = crops + min(HELD_OUT, (crops + 2) // 3)
    found = calibration_crops(calibrate, before.spec, wanted, images=images, boxes=boxes)
    apart = min(HELD_OUT, (len(found) + 3) // 4)
    shift = quantize(model, out, found[apart:], found[:apart], max_shift_px)
    after = open_runtime(out)
    speed = compare_speed(before, after, found[:apart])
    return Quantized(out, len(found) - apart, shift, speed, before.name, after.name)


def _named(out: Path, to: FormatName | None) -> Path:
    """The file to write, with the suffix of its format. Raises WeightsError if it has another one."""
    suffix = SUFFIXES[to] if to else out.suffix
    if suffix not in SUFFIXES.values():
        raise WeightsError(f"{out} must end in one of {', '.join(SUFFIXES.values())}, or say --to which format")
    if out.suffix not in ("", suffix):
        raise WeightsError(f"{out} must end in {suffix} for --to {to}")
    check_place(out)
    return out.with_suffix(suffix)


def _size_bytes(path: Path) -> int:
    """Of a file and, of an .xml, its .bin."""
    files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    return sum(file.stat().st_size for file in files)

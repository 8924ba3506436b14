"""How the networks of each task are exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lightpose.data.calibration import calibration_crops
from lightpose.errors import ConfigError
from lightpose.export.detector import DetectorParity, export_detector
from lightpose.export.opset import LEAST_OPSET
from lightpose.export.pose import Parity, export_checked
from lightpose.types import DetectorSpec, ModelSpec, TaskName

__all__ = ["EXPORTERS", "Exporter"]


@dataclass(frozen=True)
class Exporter:
    """check: raises ConfigError for a file to write, images to compare on, or an input size that the task has not.

    write: exports a network with its spec to a file, compared with PyTorch on images, None for noise, and in an opset,
    None for the usual one. title: what is said of a spec in words.
    """

    check: Callable[[Path, Path, Path | None, tuple[int, int] | None], None]
    write: Callable[[nn.Module, Any, Path, Path | None, int | None], Parity | DetectorParity]
    title: Callable[[Any], str]


def _check_pose(weights: Path, _out: Path, _images: Path | None, input_hw: tuple[int, int] | None) -> None:
    if input_hw is not None:
        raise ConfigError(f"{weights} is a pose network, whose input size is fixed; leave --input-hw out")


def _write_pose(network: nn.Module, spec: ModelSpec, out: Path, images: Path | None, opset: int | None) -> Parity:
    return export_checked(network, spec, out, None if images is None else calibration_crops(images, spec, 16), opset)


def _check_detector(weights: Path, out: Path, images: Path | None, _input_hw: tuple[int, int] | None) -> None:
    if images is not None or out.suffix not in (".onnx", ".safetensors"):
        raise ConfigError(
            f"{weights} is a person detector: it can be written as .onnx or .safetensors, and is compared on noise; "
            "leave --images out"
        )


def _write_detector(
    network: nn.Module, spec: DetectorSpec, out: Path, _images: Path | None, opset: int | None
) -> DetectorParity:
    return export_detector(network, spec, out, LEAST_OPSET if opset is None else opset)


EXPORTERS: dict[TaskName, Exporter] = {
    "pose": Exporter(_check_pose, _write_pose, lambda spec: spec.finds),
    "detector": Exporter(_check_detector, _write_detector, lambda _: "a person detector"),
}

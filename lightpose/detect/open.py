"""Detectors by name or file."""

from __future__ import annotations

from pathlib import Path

from lightpose.detect import Detector, FunctionDetector
from lightpose.detect.box_file import read_boxes
from lightpose.detect.whole_image import whole_image
from lightpose.errors import ConfigError, WeightsError
from lightpose.runtime.devices import CPU, find_device
from lightpose.weights import DETECTOR, find_weights, has_detector
from lightpose.weights.open import PrecisionChoice, find_twin, is_good_twin

__all__ = ["open_detector"]


def open_detector(
    detector: str | Path | None = None,
    threshold: float | None = None,
    threads: int = 0,
    precision: PrecisionChoice = None,
    device: str = CPU,
) -> Detector:
    """What finds the people of an image: `builtin`, `whole` (the image is one person), or a file.

    detector: the file is a detector (.onnx), or boxes by image (.json); not given, it is builtin, or whole in a copy
    of lightpose that brings no detector. threshold: least score of a detector's box; the file's own if not given.
    precision: auto runs the int8 file beside an .onnx detector if this CPU is made for it and it lost little, as in
    `lightpose.weights.open`; int8 runs it anyway, if there is one; else the file as it is. device: as `find_device`
    takes it; the CPU for those of OpenVINO, which runs no detectors here, and for int8.
    Raises WeightsError or BoxesError if the file cannot be used, ConfigError if it is of neither kind.
    """
    which = str(detector or ("builtin" if has_detector() else "whole"))
    if which == "whole":
        return FunctionDetector(whole_image)
    if which.lower().endswith(".json"):
        return read_boxes(which)
    if which == "builtin" and not has_detector():
        raise WeightsError("this copy of lightpose brings no detector; give the file of one, or whole")
    if which != "builtin" and not which.lower().endswith(".onnx"):
        raise ConfigError(f"detector {which!r} is unknown; use builtin, whole, or an .onnx or .json file")
    from lightpose.detect.onnx import OnnxDetector

    path = find_weights(DETECTOR if which == "builtin" else which)
    device = CPU if device.startswith("openvino") else find_device(device, "onnxruntime")
    if precision in ("auto", "int8") and device == CPU and find_twin(path).is_file():
        try:
            twin = OnnxDetector(find_twin(path), threshold, threads)
        except WeightsError:  # nobody named this file
            return OnnxDetector(path, threshold, threads)
        if is_good_twin(path, twin.made_from, twin.ap_loss, anyway=precision == "int8"):
            return twin
    return OnnxDetector(path, threshold, threads, device)

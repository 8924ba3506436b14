"""Devices other than the CPU: their names, which of them are here, and what is said where one is not."""

from __future__ import annotations

import importlib.util
import logging
import re
from typing import Any

import onnxruntime

from lightpose.errors import ConfigError
from lightpose.runtime import EngineName

__all__ = ["CPU", "find_device", "openvino_name", "provider_of", "say_cpu_instead"]

CPU = "cpu"

_LOG = logging.getLogger("lightpose")

_NAME = re.compile(r"(?:cuda|directml)(?::\d+)?|coreml|openvino:[A-Z]+(?:\.\d+)?")

_PROVIDERS = {
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu in place of onnxruntime"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml, which is for Windows, in place of onnxruntime"),
    "coreml": ("CoreMLExecutionProvider", "macOS"),
}
"""What ONNX Runtime calls each device, and what has it."""

_OF_ENGINES: dict[EngineName, tuple[str, ...]] = {
    "auto": ("cuda", "directml", "coreml", "openvino:GPU"),
    "onnxruntime": ("cuda", "directml", "coreml"),
    "openvino": ("openvino:GPU",),
    "torch": ("cuda",),
}
"""What `auto` looks for, the first before the others."""


def find_device(device: str, engine: EngineName = "auto") -> str:
    """The device if it is here, else the CPU, with a warning in the log that says why.

        find_device("cuda")  # "cuda" with onnxruntime-gpu, else "cpu"

    device: cpu; auto for the first that is here; cuda, directml or coreml, the first two with a number where there are
    several (cuda:1); or a device of OpenVINO by its name (openvino:GPU). engine: what is to run on it; auto is ONNX
    Runtime, or OpenVINO for its devices. Raises ConfigError for a name that is none, or a device of another engine.
    """
    if device == CPU:
        return CPU
    if device == "auto":
        return next((one for one in _OF_ENGINES[engine] if not _lack(one, engine)), CPU)
    if not _NAME.fullmatch(device):
        known = "cpu, auto, cuda, cuda:1, directml, coreml, openvino:GPU or openvino:NPU"
        raise ConfigError(f"device {device!r} is unknown; use {known}")
    kind = device.partition(":")[0]
    if kind not in {one.partition(":")[0] for one in _OF_ENGINES[engine]}:
        raise ConfigError(f"{engine} cannot run on {device}; leave --device or --engine out")
    if lack := _lack(device, engine):
        say_cpu_instead(device, lack)
        return CPU
    return device


def say_cpu_instead(device: str, reason: str) -> None:
    """Log, as a warning, that the CPU takes the device's place."""
    _LOG.warning("%s cannot be used, so the CPU is: %s", device, reason)


def provider_of(device: str) -> tuple[str, dict[str, Any]]:
    """What ONNX Runtime calls a device that it has, and its options: (CUDAExecutionProvider, {"device_id": 1})."""
    kind, _, number = device.partition(":")
    return _PROVIDERS[kind][0], {"device_id": int(number)} if number else {}


def openvino_name(device: str) -> str:
    """OpenVINO's name of a device: `CPU`, or `GPU` for openvino:GPU."""
    return device.partition(":")[2] or "CPU"


def _lack(device: str, engine: EngineName) -> str:
    """What is missing for a device; nothing if it is here."""
    kind, _, part = device.partition(":")
    if engine == "torch":
        if importlib.util.find_spec("torch") is None:
            return "it needs pip install 'lightpose[train]'"
        from lightpose.runtime.torch import count_cuda

        count = count_cuda()
        return "" if int(part or 0) < count else f"PyTorch sees {count} of these devices"
    if kind == "openvino":
        if importlib.util.find_spec("openvino") is None:
            return "it needs pip install 'lightpose[openvino]'"
        import openvino

        seen: list[str] = openvino.Core().available_devices
        return "" if any(one in (part, f"{part}.0") for one in seen) else f"OpenVINO sees {', '.join(seen)} alone"
    name, has_it = _PROVIDERS[kind]
    return "" if name in onnxruntime.get_available_providers() else f"it needs {has_it}"

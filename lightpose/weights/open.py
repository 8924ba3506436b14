"""Weights files as networks that are ready to run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lightpose.errors import ConfigError, WeightsError
from lightpose.runtime import EngineName, ModeName, PrecisionName, Runtime
from lightpose.runtime.cpu import has_byte_products
from lightpose.runtime.devices import CPU, find_device, openvino_name
from lightpose.runtime.ir import read_facts
from lightpose.runtime.onnx import OnnxRuntime
from lightpose.types import SOURCE_KEY
from lightpose.weights import DEFAULT, file_sha256, find_weights
from lightpose.weights.foreign.graphs import is_adopted, open_adopted
from lightpose.weights.foreign.wire import read_metadata

__all__ = ["LARGEST_AP_LOSS", "PrecisionChoice", "find_twin", "is_good_twin", "made_from", "open_runtime"]

PrecisionChoice = PrecisionName | Literal["auto"] | None
"""auto: int8 where it is better. None: the file as it is."""

LARGEST_AP_LOSS = 0.5
"""The most points of AP that an int8 file may have lost to be chosen where none is named."""

_ENGINES: dict[str, tuple[EngineName, ...]] = {".safetensors": ("torch",), ".xml": ("openvino",)}
"""The engines that can run a kind of file, the usual one first."""


def find_twin(path: Path, engine: EngineName = "auto") -> Path:
    """Where the int8 file of an exported network is looked for: mine_int8.onnx beside mine.onnx, .xml for OpenVINO."""
    return path.with_name(f"{path.stem}_int8{'.xml' if engine == 'openvino' else path.suffix}")


def open_runtime(
    model: str | Path = DEFAULT,
    threads: int = 0,
    engine: EngineName = "auto",
    mode: ModeName = "latency",
    precision: PrecisionChoice = None,
    device: str = CPU,
) -> Runtime:
    """A network ready to run: bundled weights by name, or an .onnx, .xml (OpenVINO) or .safetensors (PyTorch) file.

    Other projects' .onnx files, and the .zip files of MMDeploy, are run as they are: see `AdoptedRuntime`.

    threads: 0 for one on each usable core. engine: auto is ONNX Runtime for .onnx files, which OpenVINO can run too.
    mode: throughput is OpenVINO's. precision: int8 runs the network's `find_twin`, unless the file is in int8 itself.
    bf16 is OpenVINO's. auto runs the int8 twin if this CPU multiplies bytes fast, and if the twin was made from this
    very file and lost at most `LARGEST_AP_LOSS` points of AP when that was measured; else the file as it is.
    device: as `find_device` takes it. One that is not here is replaced by the CPU, with a warning in the log; the
    others run no int8.

    Raises WeightsError if there is no such file or it is damaged, ConfigError if the engine or the device cannot run
    it, MissingPackageError if the engine is not installed.
    """
    path = find_weights(model)
    if path.suffix in (".pt", ".pth"):
        raise WeightsError(
            f"{path} is a checkpoint; give a run's best.safetensors; another project's needs lightpose weights import"
        )
    if precision == "bf16" and engine == "auto":
        engine = "openvino"
    device, engine = _device(path, device, engine)
    if device != CPU and precision in ("int8", "bf16"):
        raise ConfigError(f"{precision} is for the CPU, not for {device}; leave one of both out")
    if precision == "auto" and engine in ("auto", "onnxruntime") and mode == "latency" and device == CPU:
        if twin := _good_twin(path, threads):
            return twin
    elif precision == "int8" and made_from(path) is None:
        path = _existing_twin(path, engine)
    chosen = _engine_for(path, engine)
    for value in (f"mode {mode}", precision):
        if value in ("mode throughput", "bf16") and chosen != "openvino":
            raise ConfigError(f"{value} is for the engine openvino, not {chosen}; leave it out or choose that engine")
    runtime = _open(path, threads, chosen, mode, precision == "bf16", device)
    if precision == "float32" and runtime.precision == "int8":
        raise ConfigError(f"{path} is in int8; give the float32 file that it was made from")
    if device != CPU and runtime.precision == "int8":
        raise ConfigError(f"{path} is in int8, which is for the CPU, not for {device}; give the float32 file")
    return runtime


def _device(path: Path, device: str, engine: EngineName) -> tuple[str, EngineName]:
    """Where the file is to run, and by what."""
    if engine == "auto" and path.suffix in _ENGINES:
        engine = _ENGINES[path.suffix][0]
    found = find_device(device, engine)
    return found, "openvino" if found.startswith("openvino") else engine


def _engine_for(path: Path, engine: EngineName) -> EngineName:
    """What runs a file. Raises ConfigError if the engine that is asked for cannot."""
    able = _ENGINES.get(path.suffix, ("onnxruntime", "openvino"))
    if engine == "auto" or engine in able:
        return able[0] if engine == "auto" else engine
    other = ", or export it: lightpose export" if path.suffix == ".safetensors" else ""
    raise ConfigError(f"{path} cannot be run by {engine}; use {' or '.join(able)}{other}")


def _open(path: Path, threads: int, engine: EngineName, mode: ModeName, bf16: bool, device: str) -> Runtime:
    if engine == "torch":
        from lightpose.runtime.torch import TorchRuntime, limit_threads
        from lightpose.weights.network import load_network

        limit_threads(threads)
        network, spec = load_network(path)
        return TorchRuntime(network.to(device), spec)
    if path.suffix != ".xml" and is_adopted(path):
        if mode != "latency":
            raise ConfigError(f"mode {mode} is for graphs of lightpose, not for {path}; leave it out")
        return open_adopted(path, threads, engine, bf16, device)
    if engine == "openvino":
        from lightpose.runtime.openvino import OpenVinoRuntime

        return OpenVinoRuntime(path, threads, mode, bf16, openvino_name(device))
    return OnnxRuntime(path, threads, device)


def _good_twin(path: Path, threads: int) -> Runtime | None:
    """The int8 file that is better than this one on this CPU, if there is one."""
    twin = find_twin(path)
    if path.suffix != ".onnx" or not twin.is_file() or not has_byte_products():
        return None
    try:
        runtime = open_adopted(twin, threads) if is_adopted(twin) else OnnxRuntime(twin, threads)
    except WeightsError:  # nobody asked for this file
        return None
    return runtime if is_good_twin(path, runtime.made_from, runtime.ap_loss) else None


def is_good_twin(path: Path, made_from: str | None, ap_loss: float, *, anyway: bool = False) -> bool:
    """Whether an int8 file was made from this very file and is better on this CPU; anyway: the former is enough."""
    better = anyway or (has_byte_products() and ap_loss <= LARGEST_AP_LOSS)
    return better and made_from == file_sha256(path)


def _existing_twin(path: Path, engine: EngineName) -> Path:
    """The int8 file of a network. Raises WeightsError if there is none, or if it was made from another file."""
    twin = find_twin(path, engine)
    if path.suffix not in (".onnx", ".xml") or not twin.is_file():
        raise WeightsError(f"{path} has no int8 file {twin.name} beside it; make it with lightpose quantize")
    if made_from(twin) != file_sha256(path):
        raise WeightsError(f"{twin} was not made from {path}; make it again with lightpose quantize")
    return twin


def made_from(path: Path) -> str | None:
    """SHA-256 of the file that an int8 file was made from; None for one that is not in int8."""
    if path.suffix == ".onnx":
        return read_metadata(path).get(SOURCE_KEY)
    return read_facts(path).get(SOURCE_KEY) if path.suffix == ".xml" else None

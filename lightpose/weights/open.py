"""Weights files as networks that are ready to run."""

from __future__ import annotations

from pathlib import Path

from lightpose.errors import ConfigError, WeightsError
from lightpose.runtime import EngineName, ModeName, Runtime
from lightpose.weights import DEFAULT, find_weights

__all__ = ["open_runtime"]


_ENGINES: dict[str, tuple[EngineName, ...]] = {".safetensors": ("torch",), ".xml": ("openvino",)}
"""The engines that can run a kind of file, the usual one first."""


def open_runtime(
    model: str | Path = DEFAULT, threads: int = 0, engine: EngineName = "auto", mode: ModeName = "latency"
) -> Runtime:
    """A network ready to run: bundled weights by name, or an .onnx, .xml (OpenVINO) or .safetensors (PyTorch) file.

    threads: 0 for one on each usable core. engine: auto is ONNX Runtime for .onnx files, which OpenVINO can run too.
    mode: throughput is OpenVINO's. Raises WeightsError if there is no such file or it is damaged, ConfigError if the
    engine cannot run it, MissingPackageError if the engine is not installed.
    """
    path = find_weights(model)
    if path.suffix in (".pt", ".pth"):
        raise WeightsError(
            f"{path} is a checkpoint; give a run's best.safetensors; another project's needs lightpose weights import"
        )
    able = _ENGINES.get(path.suffix, ("onnxruntime", "openvino"))
    chosen = able[0] if engine == "auto" else engine
    if chosen not in able:
        other = ", or export it: lightpose export" if path.suffix == ".safetensors" else ""
        raise ConfigError(f"{path} cannot be run by {engine}; use {' or '.join(able)}{other}")
    if mode != "latency" and chosen != "openvino":
        raise ConfigError(f"mode {mode} is for the engine openvino, not {chosen}; leave it out or choose that engine")
    if chosen == "torch":
        from lightpose.runtime.torch import TorchRuntime, limit_threads
        from lightpose.weights.network import load_network

        limit_threads(threads)
        return TorchRuntime(*load_network(path))
    if chosen == "openvino":
        from lightpose.runtime.openvino import OpenVinoRuntime

        return OpenVinoRuntime(path, threads, mode)
    from lightpose.runtime.onnx import OnnxRuntime

    return OnnxRuntime(path, threads)

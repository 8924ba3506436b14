"""Networks in PyTorch for benchmarks: exported untrained, or run eagerly, with channels last, or compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from lightpose.errors import ConfigError
from lightpose.export.pose import export_onnx
from lightpose.models import build
from lightpose.runtime import PrecisionName
from lightpose.runtime.torch import Normalise, limit_threads
from lightpose.types import FloatArray, ImageArray, ModelSpec
from lightpose.weights.network import load_network

__all__ = ["TorchVariant", "export_graph"]


def export_graph(spec: ModelSpec, weights: Path | None, path: Path) -> None:
    """Write the network of a .safetensors file, or without one the untrained network of a spec, as an ONNX graph."""
    export_onnx(_network(spec, weights), spec, path)


class TorchVariant:
    """Runs a network with PyTorch on the CPU, laid out as the engine's name says (`bench.variants.Engine`).

    Of the same name as the engine. Its threads are set anew at each run, as PyTorch has one number for all networks.
    """

    precision: PrecisionName = "float32"

    def __init__(self, spec: ModelSpec, weights: Path | None, engine: str, threads: int) -> None:
        self.name, self.spec, self.path = engine, spec, weights
        self._threads = threads
        self._layout = torch.contiguous_format if engine == "torch" else torch.channels_last
        network = nn.Sequential(Normalise(spec), _network(spec, weights)).eval().to(memory_format=self._layout)  # type: ignore[call-overload]
        self._run = torch.compile(network, dynamic=False) if engine == "torch_compile" else network

    @torch.inference_mode()
    def heatmaps(self, crops: ImageArray) -> FloatArray:
        limit_threads(self._threads)
        pixels = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float()
        try:
            result: FloatArray = self._run(pixels.contiguous(memory_format=self._layout)).numpy()
        except torch._dynamo.exc.TorchDynamoException as error:  # the compiler's, for want of a C++ compiler and such
            raise ConfigError(
                f"PyTorch cannot compile {self.spec.model} on this machine; leave torch_compile out"
            ) from error
        return result


def _network(spec: ModelSpec, weights: Path | None) -> nn.Module:
    return build(spec) if weights is None else load_network(weights)[0]

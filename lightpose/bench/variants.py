"""The ways to run a network that a benchmark puts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal

import numpy as np

from lightpose.errors import ConfigError, MissingPackageError
from lightpose.runtime import EngineName, PrecisionName, Runtime
from lightpose.runtime.devices import CPU, find_device
from lightpose.runtime.threads import choose_threads
from lightpose.skeletons import COCO17
from lightpose.types import ImageArray, ModelSpec
from lightpose.weights import bundled_weights, file_sha256, find_weights
from lightpose.weights.open import made_from, open_runtime

__all__ = ["Engine", "Source", "Variant", "find_source", "variants_of"]

Engine = Literal[
    "onnxruntime", "openvino", "openvino_bf16", "torch", "torch_channels_last", "torch_compile",
    "cuda", "directml", "coreml", "openvino_gpu",
]  # fmt: skip
"""openvino_bf16: in bfloat16 what is not in int8. torch: memory as PyTorch lays it out. torch_channels_last: channels
together. torch_compile: that, compiled. The last four are ONNX Runtime or OpenVINO on other devices than the CPU."""

_OF_GRAPHS: dict[Engine, tuple[EngineName, PrecisionName | None, str]] = {
    "onnxruntime": ("onnxruntime", None, CPU),
    "openvino": ("openvino", None, CPU),
    "openvino_bf16": ("openvino", "bf16", CPU),
    "cuda": ("onnxruntime", None, "cuda"),
    "directml": ("onnxruntime", None, "directml"),
    "coreml": ("onnxruntime", None, "coreml"),
    "openvino_gpu": ("openvino", None, "openvino:GPU"),
}
"""Those that read exported graphs: engine, precision (None for the file's own) and device of `open_runtime`."""

INPUT_HW = (256, 192)


@dataclass(frozen=True)
class Source:
    """A network to run. name: what the user called it. path: its file, None for an untrained one, made on the spot."""

    name: str
    spec: ModelSpec
    path: Path | None

    @property
    def precision(self) -> str:
        """`int8` for a file that `lightpose quantize` wrote, else `fp32`."""
        return "int8" if self.path is not None and made_from(self.path) else "fp32"


@dataclass(frozen=True)
class Variant:
    """One way to run one network. path: the file that the engine reads, None where it builds the network untrained."""

    source: Source
    path: Path | None
    engine: Engine
    batch: int
    threads: int

    def open(self) -> Runtime:
        """The network, ready to run.

        Raises MissingPackageError if the engine is not installed, ConfigError if its device is not here.
        """
        if self.engine not in _OF_GRAPHS:
            from lightpose.bench.networks import TorchVariant

            return TorchVariant(self.source.spec, self.path, self.engine, self.threads)
        assert self.path is not None
        engine, precision, device = _OF_GRAPHS[self.engine]
        if find_device(device, engine) != device:
            raise ConfigError(f"there is no {device} here to measure; leave {self.engine} out of --engines")
        return open_runtime(self.path, self.threads, engine, precision=precision, device=device)

    @property
    def precision(self) -> str:
        """`int8`, `bf16` or `fp32`."""
        return "bf16" if self.engine == "openvino_bf16" and self.source.precision == "fp32" else self.source.precision

    @property
    def opened_as(self) -> tuple[str, tuple[int, int], Engine, int]:
        """The same for variants that differ in their batch alone."""
        return self.source.name, self.source.spec.input_hw, self.engine, self.threads

    def crops(self) -> ImageArray:
        """A batch of noise (batch, H, W, 3) uint8: a network's speed is the same on all images."""
        shape = (self.batch, *self.source.spec.input_hw, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    @property
    def engine_version(self) -> str:
        package = _OF_GRAPHS[self.engine][0] if self.engine in _OF_GRAPHS else "torch"
        return f"{package} {import_module(package).__version__.partition('-')[0]}"


def find_source(name: str, input_hw: tuple[int, int] | None = None) -> Source:
    """Bundled weights or a file by name, or the network of that name, untrained: its speed is the trained one's.

    input_hw: of untrained networks, 256×192 if not given; bundled weights of another size make way for an untrained
    network. Raises WeightsError if a file cannot be used, ConfigError if it has another size than asked for.
    """
    if name in bundled_weights() or Path(name).is_file():
        path = find_weights(name)
        spec = open_runtime(path).spec
        if input_hw in (None, spec.input_hw):
            return Source(name, spec, path)
        if name not in bundled_weights():
            raise ConfigError(f"{name} takes {spec.input_hw[0]}x{spec.input_hw[1]} only; leave --inputs out")
    try:
        from lightpose.models import MODELS, build
    except ImportError as error:
        raise MissingPackageError("torch", "train") from error
    if name not in MODELS:
        raise ConfigError(f"{name} is neither a file nor a network; the networks are {', '.join(MODELS)}")
    spec = ModelSpec(name, COCO17, input_hw or INPUT_HW)
    build(spec)  # which refuses sizes that the network does not take
    return Source(name, spec, None)


def variants_of(
    source: Source, engines: Sequence[Engine], batches: Sequence[int], threads: Sequence[int], cache: Path
) -> list[Variant]:
    """All combinations that there are; engines that cannot run the network's file are passed over.

    threads: 0 for one on each usable core. cache: an existing folder for exported graphs; what is there is used again.
    Raises ConfigError if no engine can run it.
    """
    able = [engine for engine in engines if _can_run(source, engine)]
    if not able:
        raise ConfigError(f"{source.name} cannot be run by {' or '.join(engines)}; choose other --engines")
    if not batches or not threads or min(batches) < 1:
        raise ConfigError("batches must be whole numbers of at least 1, and threads of at least 0, one each at least")
    paths = {engine: _file_for(source, engine, cache) for engine in able}
    return [
        Variant(source, paths[engine], engine, batch, count)
        for count in dict.fromkeys(map(choose_threads, threads))
        for batch in dict.fromkeys(batches)
        for engine in dict.fromkeys(able)
    ]


def _can_run(source: Source, engine: Engine) -> bool:
    """Graphs in OpenVINO's own format are its alone, int8 ones in ONNX ONNX Runtime's; PyTorch runs no adopted ones."""
    if source.spec.adopted and engine not in _OF_GRAPHS:
        return False
    if source.precision == "int8" and source.path is not None and source.path.suffix == ".onnx":
        return engine == "onnxruntime"  # on the CPU
    return _OF_GRAPHS.get(engine, ("",))[0] == "openvino" or source.path is None or source.path.suffix != ".xml"


def _file_for(source: Source, engine: Engine, cache: Path) -> Path | None:
    """The file that the engine reads: the source's own, or an export of it into the cache."""
    path = source.path
    if engine not in _OF_GRAPHS:
        return path if path is not None and path.suffix == ".safetensors" else None
    if path is not None and path.suffix != ".safetensors":
        return path
    height, width = source.spec.input_hw
    which = "untrained" if path is None else file_sha256(path)[:12]
    exported = cache / f"{source.spec.model}-{height}x{width}-{which}-{metadata.version('lightpose')}.onnx"
    if not exported.is_file():
        from lightpose.bench.networks import export_graph

        export_graph(source.spec, path, exported)
    return exported

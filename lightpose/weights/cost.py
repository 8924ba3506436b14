"""What a network costs: parameters, operations under both counting rules, and memory for activations."""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lightpose.errors import ConfigError, WeightsError
from lightpose.models import MODELS, build, check_input
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.runtime.onnx import OnnxRuntime
from lightpose.skeletons import Skeleton
from lightpose.types import ModelSpec
from lightpose.weights.foreign.graphs import is_adopted, open_adopted
from lightpose.weights.graph_cost import count_graph
from lightpose.weights.network import load_network

__all__ = ["LayerProfile", "Profile", "profile_model", "profile_network", "profile_spec"]

MATRIX_PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}
"""Operators that multiply matrices, and which argument is the first of the two."""


@dataclass(frozen=True)
class LayerProfile:
    """One module that has parameters of its own or multiplies, without the modules inside it.

    name: its place in the network. kind: its class. output: shape of what it gave. The rest as in `Profile`.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    paper_gflops: float
    macs: int


@dataclass(frozen=True)
class Profile:
    """The cost of one crop, with the network as it is used (evaluation mode), in float32.

    parameters: all numbers that training learns, those that only training needs included.
    paper_gflops: the paper's "FLOPs": of each convolution the size of its weight times the pixels of its output, over
    2³⁰. It counts a stride-2 transposed convolution four times, and no matrix products.
    macs: multiply-accumulates as they are, of convolutions, transposed ones and matrix products (of attention).
    activation_bytes: most that is alive at once of input and activations if each is freed after its last use, and batch
    norm, activation and addition write over an operand that is free then. The weights are not in it.
    """

    model: str
    input_hw: tuple[int, int]
    joints: int
    parameters: int
    paper_gflops: float
    macs: int
    activation_bytes: int
    layers: tuple[LayerProfile, ...]


def profile_model(model: str, input_hw: tuple[int, int] | None = None, joints: int | None = None) -> Profile:
    """Profile a network of MODELS by name, or that of a weights file (.safetensors or .onnx).

    input_hw: 256×192 if not given, or the file's own. joints: 17 if not given; of files their own.
    Raises ConfigError if there is no such model, or it does not take that input or those joints.
    """
    if model in MODELS:
        joints = 17 if joints is None else joints
        if joints < 1:
            raise ConfigError(f"joints must be at least 1, not {joints}")
        with torch.device("meta"):
            network = MODELS[model](joints=joints)
        return profile_network(network, input_hw or (256, 192), model)
    if not Path(model).is_file():
        raise ConfigError(f"{model} is neither a network nor a file; the networks are {', '.join(MODELS)}")
    if Path(model).suffix == ".onnx" and is_adopted(Path(model)):
        return _profile_adopted(Path(model), input_hw, joints)
    network, own_hw, own_joints = _open(Path(model))
    if joints not in (None, own_joints):
        raise ConfigError(f"{model} has {own_joints} joints; leave --joints out for weights files")
    return profile_network(network, input_hw or own_hw, model)


def _profile_adopted(path: Path, input_hw: tuple[int, int] | None, joints: int | None) -> Profile:
    """The same of another project's graph."""
    runtime = open_adopted(path, threads=1)
    spec = runtime.spec
    if input_hw not in (None, spec.input_hw) or joints not in (None, len(spec.skeleton)):
        height, width = spec.input_hw
        raise ConfigError(f"{path} has {len(spec.skeleton)} joints at {height}x{width}; leave --input and --joints out")
    grey = np.zeros((1, *spec.input_hw, 3), np.uint8)
    shape = runtime.tensor(grey[0] if isinstance(runtime, OneStageRuntime) else grey).shape
    counted = count_graph(path, shape)
    layers = tuple(
        LayerProfile(each.name, each.kind, each.output, each.parameters, each.paper / 2**30, each.macs)
        for each in counted.nodes
    )
    return Profile(
        str(path),
        spec.input_hw,
        len(spec.skeleton),
        counted.parameters,
        sum(each.paper_gflops for each in layers),
        sum(each.macs for each in layers),
        counted.activation_bytes,
        layers,
    )


def _open(path: Path) -> tuple[nn.Module, tuple[int, int], int]:
    """The network of a weights file, its input size and its number of joints."""
    if path.suffix == ".safetensors":
        network, spec = load_network(path)
    elif path.suffix == ".onnx":
        spec = OnnxRuntime(path).spec
        with torch.device("meta"):
            network = build(spec)
    else:
        raise WeightsError(f"{path} must be a .safetensors or .onnx file")
    return network, spec.input_hw, len(spec.skeleton)


def profile_spec(spec: ModelSpec) -> Profile:
    """Profile the network that a spec describes, at its input size; what was once counted is kept.

    Raises ConfigError if there is no such network or it does not take that size.
    """
    return _profile(spec.model, tuple(spec.options.items()), spec.input_hw, len(spec.skeleton))


@functools.lru_cache
def _profile(
    model: str, options: tuple[tuple[str, bool | int], ...], input_hw: tuple[int, int], joints: int
) -> Profile:
    skeleton = Skeleton("any", tuple(f"joint{number}" for number in range(joints)))
    with torch.device("meta"):
        network = build(ModelSpec(model, skeleton, input_hw, dict(options)))
    return profile_network(network, input_hw, model)


def profile_network(network: nn.Module, input_hw: tuple[int, int], name: str = "") -> Profile:
    """Profile a network that takes (N, 3, H, W) and, in evaluation mode, gives heatmaps (N, K, h, w).

    Nothing is computed: a copy runs on tensors without contents. Raises ConfigError if it does not take that size.
    """
    check_input(name or type(network).__name__, network, input_hw)
    traced = copy.deepcopy(network).to("meta").eval()
    crops = torch.zeros(1, 3, *input_hw, device="meta")
    modules = _Modules(traced)
    with torch.no_grad(), _Trace(traced, modules, crops) as trace:
        heatmaps = traced(crops)
    layers = modules.layers(trace.macs)
    return Profile(
        model=name,
        input_hw=input_hw,
        joints=heatmaps.shape[1],
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        paper_gflops=sum(layer.paper_gflops for layer in layers),
        macs=sum(trace.macs.values()),
        activation_bytes=trace.peak_bytes(),
        layers=layers,
    )


class _Modules:
    """Knows which module of a network is running, and what each convolution costs by the paper's rule."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._running: list[str] = []
        self._paper: dict[str, int] = defaultdict(int)
        self._outputs: dict[str, tuple[int, ...]] = {}
        for name, module in network.named_modules():
            module.register_forward_pre_hook(lambda _module, _inputs, name=name: self._running.append(name))
            module.register_forward_hook(self._leave)

    def current(self) -> str:
        """Name of the innermost module that is running; the network's own is empty."""
        return self._running[-1] if self._running else ""

    def _leave(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        name = self._running.pop()
        if isinstance(output, Tensor):
            self._outputs[name] = tuple(output.shape)
            if isinstance(module, _ConvNd):
                self._paper[name] += module.weight.numel() * math.prod(output.shape[2:])

    def layers(self, macs: dict[str, int]) -> tuple[LayerProfile, ...]:
        rows = []
        for name, module in self._network.named_modules():
            own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
            if own or macs.get(name):
                kind, output = type(module).__name__, self._outputs.get(name, ())
                rows.append(LayerProfile(name, kind, output, own, self._paper[name] / 2**30, macs.get(name, 0)))
        return tuple(rows)


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every operator: its multiply-accumulates, by module, and the memory that it reads and writes."""

    def __init__(self, network: nn.Module, modules: _Modules, crops: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs: dict[str, int] = defaultdict(int)
        self._modules = modules
        self._weights = {_memory(tensor) for tensor in (*network.parameters(), *network.buffers())}
        self._kept: list[Tensor] = []  # so that no address is used twice
        self._sizes: dict[int, int] = {}
        self._born: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._reusing: dict[int, list[int]] = {}
        self._step = 0
        self._touch(crops)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if not outputs:
            return result
        self._step += 1
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        for tensor in inputs:
            self._touch(tensor)
        self._touch(outputs[0])  # the others are for training: indices of max-pooling, statistics of batch norm
        self.macs[self._modules.current()] += _macs(func, args, outputs[0])
        if torch.Tag.pointwise in func.tags or "batch_norm" in str(func):
            self._reusing[self._step] = [_memory(tensor) for tensor in inputs if tensor.shape == outputs[0].shape]
        return result

    def _touch(self, tensor: Tensor) -> None:
        """Note that the current step needs this tensor's memory."""
        memory = _memory(tensor)
        if memory not in self._weights:
            self._kept.append(tensor)
            self._sizes[memory] = tensor.untyped_storage().nbytes()
            self._born.setdefault(memory, self._step)
            self._last[memory] = self._step

    def peak_bytes(self) -> int:
        """The largest sum, over steps, of the memory between its first and its last use."""
        change = [0] * (self._step + 2)
        for memory, size in self._sizes.items():
            change[self._born[memory]] += size
            change[self._last[memory] + 1] -= size
        for step in set(self._born.values()):  # a result takes over an operand of its size that nobody needs afterwards
            free = [memory for memory in self._reusing.get(step, []) if self._last.get(memory) == step]
            if free:
                change[step] -= self._sizes[free[0]]
                change[step + 1] += self._sizes[free[0]]
        return max(itertools.accumulate(change))


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _macs(func: Any, args: Any, output: Tensor) -> int:
    """Multiply-accumulates of one operator; 0 for all but convolutions and matrix products."""
    name = func.overloadpacket.__name__
    if name == "convolution":
        inputs, weight, transposed = args[0], args[1], args[6]
        pixels = math.prod((inputs if transposed else output).shape[2:])
        return int(len(inputs) * weight.numel() * pixels)
    if name in MATRIX_PRODUCTS:
        first = MATRIX_PRODUCTS[name]
        return int(args[first].numel() * args[first + 1].shape[-1])
    return 0

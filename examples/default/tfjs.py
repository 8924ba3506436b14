"""TensorFlow.js graph models as PyTorch modules: the operations that convolutional networks without batch norm have.

And their files, as teachers whose maps feature distillation learns.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

__all__ = ["GraphModel", "write_teacher"]


class GraphModel(nn.Module):
    """Part of a graph, from the node `start` to the nodes `ends`. (N, C, H, W) → one map for each end.

    H and W must be divisible by all strides. Every map is (N, C, H, W) here, whatever the order of the original's axes.
    Resizing doubles a map, save in the nodes `halving`.
    """

    def __init__(self, path: Path, start: str, ends: Sequence[str], halving: Sequence[str] = ()) -> None:
        super().__init__()
        document = json.loads(path.read_text())
        self.nodes = {node["name"]: node for node in document["modelTopology"]["node"]}
        self.values = _read_weights(path, document["weightsManifest"][0])
        self.start, self.ends, self.halving = start, ends, halving
        self.order: list[str] = []
        for name in ends:
            self._visit(name)
        for name in self.order:
            node = self.nodes[name]
            convolves = "onv2" in node["op"].lower()
            if convolves:
                self.register_parameter(_key(name), nn.Parameter(_kernel(node, self.values)))
            for bias in node["input"][2:] if convolves else node["input"][1:] if "Add" in node["op"] else []:
                if bias in self.values:
                    self.register_buffer(_key(bias), torch.from_numpy(self.values[bias]))

    def _visit(self, name: str) -> None:
        """Put a node behind all that it needs."""
        if name in self.order or name in self.values or name == self.start:
            return
        for source in self.nodes[name]["input"]:
            self._visit(source)
        self.order.append(name)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        found: dict[str, Tensor] = {self.start: pixels}
        for name in self.order:
            found[name] = self._compute(name, self.nodes[name], found)
        return [found[name] for name in self.ends]

    def _compute(self, name: str, node: dict[str, Any], found: dict[str, Tensor]) -> Tensor:
        sources = node["input"]
        x, op = found[sources[0]], node["op"]
        if "onv2" in op.lower():
            return self._convolve(x, name, node)
        if op in ("Add", "AddV2"):
            other = sources[1]
            return x + (found[other] if other in found else self.get_buffer(_key(other))[:, None, None])
        if op == "ConcatV2":
            return torch.cat([found[source] for source in sources[:-1]], 1)
        if op == "LeakyRelu":
            return functional.leaky_relu(x, node["attr"]["alpha"]["f"])
        if op == "MaxPool":
            return functional.max_pool2d(x, _numbers(node, "ksize")[1], _numbers(node, "strides")[1])
        if op in ("Pad", "PadV2"):  # of the original's last two axes, in front and behind
            fill = float(self.values[sources[2]]) if op == "PadV2" else 0.0
            rows, columns = self.values[sources[1]].tolist()[2:]
            return functional.pad(x, (*columns, *rows), value=fill)
        if op == "ResizeBilinear":
            factor = 0.5 if name in self.halving else 2
            return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
        if op == "Transpose":
            return x
        raise ValueError(f"{name}: the operation {op} is not known here")

    def _convolve(self, x: Tensor, name: str, node: dict[str, Any]) -> Tensor:
        weight = self.get_parameter(_key(name))
        stride = _numbers(node, "strides")[1]
        if base64.b64decode(node["attr"]["padding"]["s"]) == b"SAME":
            total = max(weight.shape[2] - stride, 0)  # of a map that the stride divides
            before, after = total // 2, total - total // 2
            x = functional.pad(x, (before, after, before, after))
        bias = self.get_buffer(_key(node["input"][2])) if len(node["input"]) > 2 else None
        x = functional.conv2d(x, weight, bias, stride, groups=len(weight) if "Depthwise" in node["op"] else 1)
        fused = [base64.b64decode(text) for text in node["attr"].get("fused_ops", {}).get("list", {}).get("s", [])]
        if b"Relu6" in fused:
            return x.clamp(0, 6)
        return x.relu() if b"Relu" in fused else x


def write_teacher(maps: nn.Module, path: str) -> None:
    """Write a module from pictures (N, 3, H, W) to maps: an ONNX file, faster on a CPU, or else an exported program."""
    example = torch.zeros(2, 3, 256, 192)
    if Path(path).suffix == ".onnx":
        names = [f"map_{number}" for number in range(len(maps(example)))]
        axes = {name: {0: "pictures", 2: f"{name}_rows", 3: f"{name}_columns"} for name in ("pictures", *names)}
        torch.onnx.export(
            maps, (example,), path, dynamo=False, input_names=["pictures"], output_names=names, dynamic_axes=axes
        )
    else:
        sizes = {0: Dim("pictures"), 2: 32 * Dim("rows"), 3: 32 * Dim("columns")}
        torch.export.save(torch.export.export(maps, (example,), dynamic_shapes=(sizes,)), path)


def _numbers(node: dict[str, Any], name: str) -> list[int]:
    """An attribute for each axis of (N, H, W, C)."""
    return [int(number) for number in node["attr"][name]["list"]["i"]]


def _read_weights(path: Path, manifest: dict[str, Any]) -> dict[str, np.ndarray]:
    raw = b"".join((path.parent / part).read_bytes() for part in manifest["paths"])
    values, start = {}, 0
    for entry in manifest["weights"]:
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        count = int(np.prod(entry["shape"]))
        array = np.frombuffer(raw, stored, count, start).reshape(entry["shape"])
        start += array.nbytes
        values[entry["name"]] = array.astype(entry["dtype"])
    return values


def _kernel(node: dict[str, Any], values: dict[str, np.ndarray]) -> Tensor:
    """A kernel in PyTorch's order: (outputs, inputs / groups, height, width)."""
    kernel = values[node["input"][1]]
    if "Depthwise" in node["op"]:
        return torch.from_numpy(kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2]).copy())
    return torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())


def _key(name: str) -> str:
    return name.replace(".", "_").replace("/", "_")

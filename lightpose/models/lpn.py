"""The Lightweight Pose Network: lightweight bottlenecks to stride 16, two upsamplings back to stride 4 (Figure 1)."""

from __future__ import annotations

from torch import Tensor, nn

from lightpose.models.blocks import LightweightBottleneck, conv_bn, initialise_small, upsample

__all__ = ["LPN", "lpn50", "lpn101", "lpn152"]

WIDTHS = (64, 128, 256, 512)
STRIDES = (1, 2, 2, 1)
UPSAMPLED_WIDTH = 256


class LPN(nn.Module):
    """(N, 3, H, W) normalised crops, H and W divisible by 16 → heatmaps (N, joints, H/4, W/4).

    depths: bottlenecks in each of the four layers. gc: a global-context block in every bottleneck.
    """

    strides = (16, 8, 4)
    widths = (WIDTHS[-1], UPSAMPLED_WIDTH, UPSAMPLED_WIDTH)

    def __init__(self, depths: tuple[int, int, int, int], joints: int = 17, gc: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(3, 64, kernel=7, stride=2), nn.MaxPool2d(3, stride=2, padding=1))
        layers, inputs = [], 64
        for depth, width, stride in zip(depths, WIDTHS, STRIDES, strict=True):
            blocks = [LightweightBottleneck(inputs, width, stride, gc)]
            blocks += [LightweightBottleneck(width, width, 1, gc) for _ in range(depth - 1)]
            layers.append(nn.Sequential(*blocks))
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.upsample = nn.Sequential(upsample(inputs, UPSAMPLED_WIDTH), upsample(UPSAMPLED_WIDTH, UPSAMPLED_WIDTH))
        self.head = nn.Conv2d(UPSAMPLED_WIDTH, joints, 1)
        self.apply(initialise_small)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.pyramid(x)[-1])

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """The deepest map, and those on the way up; see `strides` and `widths`."""
        maps = [self.layers(self.stem(x))]
        for up in self.upsample:
            maps.append(up(maps[-1]))
        return maps

    def read(self, x: Tensor) -> Tensor:
        """The heatmaps in the last map."""
        out: Tensor = self.head(x)
        return out


def lpn50(joints: int = 17, gc: bool = True) -> LPN:
    """LPN-50: 2.9 M parameters, the paper's default."""
    return LPN((3, 4, 6, 3), joints, gc)


def lpn101(joints: int = 17, gc: bool = True) -> LPN:
    """LPN-101: 5.4 M parameters."""
    return LPN((3, 4, 23, 3), joints, gc)


def lpn152(joints: int = 17, gc: bool = True) -> LPN:
    """LPN-152: 7.4 M parameters."""
    return LPN((3, 8, 36, 3), joints, gc)

"""HRNet: branches of four resolutions side by side that exchange what they see (Sun et al., CVPR 2019,
arXiv:1902.09212).

Checkpoints of Microsoft's pose_hrnet and of MMPose (with `backbone.` and `head.` before the names) become ours so:
conv{k} and bn{k} of the stem are `stem.{k-1}.0` and `stem.{k-1}.1`; transition{k} is `transitions.{k-1}`; stage{k} is
`stages.{k-2}`; fuse_layers is `fuse`; final_layer is `head`; blocks as `resnet.py` says.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from lightpose.models.blocks import conv_bn, initialise_small
from lightpose.models.resnet import BasicBlock, Bottleneck, check_size

__all__ = ["HRNet", "hrnet_w32", "hrnet_w48"]


class ExchangeModule(nn.Module):
    """Basic blocks on each branch, then every output is a sum over all branches (Section 3, Figure 3).

    Takes and gives a list of (N, widths[i], H/2ⁱ, W/2ⁱ). outputs: how many branches are given, the finest first.
    """

    def __init__(self, widths: list[int], outputs: int, blocks: int = 4) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(blocks))) for width in widths
        )
        self.fuse = nn.ModuleList(Fusion(widths, target) for target in range(outputs))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [fusion(maps) for fusion in self.fuse]


class Fusion(nn.ModuleList):
    """Sum of all branches at the resolution and width of one, and a ReLU; element j is the path from branch j."""

    def __init__(self, widths: list[int], target: int) -> None:
        super().__init__(_path(widths, source, target) for source in range(len(widths)))

    def forward(self, maps: list[Tensor]) -> Tensor:
        return torch.relu(functools.reduce(torch.add, [path(x) for path, x in zip(self, maps, strict=True)]))


def _path(widths: list[int], source: int, target: int) -> nn.Module:
    """From one branch to another's resolution and width: 1×1 and nearest neighbour up, strided 3×3s down."""
    wide, wanted = widths[source], widths[target]
    if source == target:
        return nn.Identity()
    if source > target:
        grow = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(*conv_bn(wide, wanted, relu=False), grow)
    steps = [conv_bn(wide, wide, 3, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, conv_bn(wide, wanted, 3, 2, relu=False))


class Transition(nn.ModuleList):
    """To the next stage's branches: 3×3 where the width changes, a strided 3×3 from the coarsest for the new one."""

    def __init__(self, before: list[int], after: list[int]) -> None:
        super().__init__()
        for number, width in enumerate(after):
            if number >= len(before):
                self.append(nn.Sequential(conv_bn(before[-1], width, 3, 2)))
            else:
                self.append(nn.Identity() if before[number] == width else conv_bn(before[number], width, 3))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [path(maps[min(number, len(maps) - 1)]) for number, path in enumerate(self)]


class HRNet(nn.Module):
    """(N, 3, H, W) normalised crops, H and W divisible by 32 → heatmaps (N, joints, H/4, W/4), of the finest branch.

    Every convolution starts from N(0, 0.001), as in the authors' code. width: channels of the finest branch; each
    coarser one has twice as many. modules: how many in stages 2, 3 and 4, of 2, 3 and 4 branches. blocks: in a row on
    each branch of a module, and in stage 1.
    """

    size_multiple = 32

    def __init__(
        self, width: int, joints: int = 17, modules: tuple[int, int, int] = (1, 4, 3), blocks: int = 4
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 64, 3, 2), conv_bn(64, 64, 3, 2))
        self.layer1 = nn.Sequential(Bottleneck(64, 64, 256), *(Bottleneck(256, 64, 256) for _ in range(blocks - 1)))
        self.transitions, self.stages = nn.ModuleList(), nn.ModuleList()
        before = [256]
        for number, count in enumerate(modules):
            widths = [width * 2**branch for branch in range(number + 2)]
            outputs = [len(widths)] * count
            if number + 1 == len(modules):
                outputs[-1] = 1  # the finest branch alone goes to the head
            self.transitions.append(Transition(before, widths))
            self.stages.append(nn.Sequential(*(ExchangeModule(widths, given, blocks) for given in outputs)))
            before = widths
        self.head = nn.Conv2d(width, joints, 1)
        self.apply(initialise_small)

    def forward(self, x: Tensor) -> Tensor:
        check_size(x, self.size_multiple)
        maps = [self.layer1(self.stem(x))]
        for transition, stage in zip(self.transitions, self.stages, strict=True):
            maps = stage(transition(maps))
        out: Tensor = self.head(maps[0])
        return out


def hrnet_w32(joints: int = 17) -> HRNet:
    """HRNet-W32: 28.5 M parameters."""
    return HRNet(32, joints)


def hrnet_w48(joints: int = 17) -> HRNet:
    """HRNet-W48: 63.6 M parameters."""
    return HRNet(48, joints)

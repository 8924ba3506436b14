"""CPN: a feature pyramid and its refinement (Chen et al., Cascaded Pyramid Network, CVPR 2018, arXiv:1711.07319).

Built as the authors' released code (tf-cpn): 27.0 M parameters, as Table 1 of the LPN paper has. The 1×1 convolutions
that merge levels run before the bilinear upsampling instead of after it, which gives the same for less: 6.15 GFLOPs by
the LPN paper's rule instead of 6.34. The table's 6.2 is the CPN paper's, of another version, with strides on the first
1×1 of a bottleneck (0.21 less) and a convolution on every shortcut of RefineNet (0.08 more): 6.20.

The released code has a batch norm after each output, for targets as high as 255. For ours, as high as 1, it would take
a thousand steps to become small, so the outputs are plain convolutions with a bias, as the paper's text has them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightpose.models.blocks import conv_bn, initialise_kaiming, initialise_small
from lightpose.models.resnet import DEPTHS, Bottleneck, ResNet, check_size

__all__ = ["CPN", "cpn50"]

WIDTH = 256
LEVELS = (256, 512, 1024, 2048)
"""Channels of the ResNet's maps, the finest first."""


def _grow(x: Tensor, factor: int) -> Tensor:
    return x if factor == 1 else functional.interpolate(x, scale_factor=float(factor), mode="bilinear")


class GlobalNet(nn.Module):
    """Feature pyramid from coarse to fine, and heatmaps at each of its levels (Section 3.2.1).

    `forward` takes the ResNet's four maps and gives the pyramid: (N, 256, H/4, W/4), … (N, 256, H/32, W/32).
    """

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(conv_bn(channels, WIDTH) for channels in LEVELS)
        self.merges = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 1) for _ in LEVELS[1:])
        self.squeezes = nn.ModuleList(conv_bn(WIDTH, WIDTH) for _ in LEVELS)
        self.heads = nn.ModuleList(nn.Conv2d(WIDTH, joints, 3, padding=1) for _ in LEVELS)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        laterals = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        pyramid = [laterals.pop()]
        for merge, lateral in zip(reversed(self.merges), reversed(laterals), strict=True):
            pyramid.insert(0, lateral + _grow(merge(pyramid[0]), 2))
        return pyramid

    def heatmaps(self, pyramid: list[Tensor]) -> list[Tensor]:
        """Heatmaps (N, joints, H/4, W/4) of every level, the coarsest first; only training needs them."""
        parts = enumerate(zip(self.squeezes, self.heads, pyramid, strict=True))
        return [_grow(head(squeeze(x)), 2**level) for level, (squeeze, head, x) in parts][::-1]


class RefineNet(nn.Module):
    """More bottlenecks the coarser the level, then all levels at the finest size together (Section 3.2.2).

    Takes the pyramid, gives heatmaps (N, joints, H/4, W/4).
    """

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.cascades = nn.ModuleList(
            nn.Sequential(*(Bottleneck(WIDTH, WIDTH // 2, WIDTH) for _ in range(level))) for level in range(len(LEVELS))
        )
        self.join = Bottleneck(len(LEVELS) * WIDTH, WIDTH // 2, WIDTH)
        self.head = nn.Conv2d(WIDTH, joints, 3, padding=1)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        parts = enumerate(zip(self.cascades, pyramid, strict=True))
        together = torch.cat([_grow(cascade(x), 2**level) for level, (cascade, x) in parts], dim=1)
        out: Tensor = self.head(self.join(together))
        return out


class CPN(nn.Module):
    """(N, 3, H, W) normalised crops, H and W divisible by 32 → RefineNet's heatmaps (N, joints, H/4, W/4).

    In training mode a tuple of such heatmaps: GlobalNet's four, the coarsest level first, and RefineNet's, the answer.
    The authors start the ResNet from ImageNet; without that all bottlenecks start from He et al.'s weights. GlobalNet
    starts from Glorot and Bengio's, as theirs does, the outputs from N(0, 0.001). depths: bottlenecks in each layer of
    the ResNet.
    """

    size_multiple = 32

    def __init__(self, depths: tuple[int, int, int, int], joints: int = 17) -> None:
        super().__init__()
        self.backbone = ResNet(depths)
        self.global_net = GlobalNet(joints)
        self.refine_net = RefineNet(joints)
        initialise_kaiming(self)
        self.global_net.apply(_initialise_glorot)
        self.global_net.heads.apply(initialise_small)
        self.refine_net.head.apply(initialise_small)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_size(x, self.size_multiple)
        pyramid = self.global_net(self.backbone(x))
        refined: Tensor = self.refine_net(pyramid)
        return (*self.global_net.heatmaps(pyramid), refined) if self.training else refined


def _initialise_glorot(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def cpn50(joints: int = 17) -> CPN:
    """CPN with ResNet-50: 27.0 M parameters."""
    return CPN(DEPTHS[50], joints)

"""Stacked hourglasses (Newell et al., Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016).

Table 1 of the LPN paper has 25.6 M parameters, which are those of W. Yang's PyTorch version: its second residual, after
the pooling, goes to 256 channels already; in the authors' own the third does, 25.4 M. The former is built here. The
table's 26.2 GFLOPs are this network's at 256×256; at 256×192, where the table has them, it does 19.6.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from lightpose.models.blocks import initialise_small
from lightpose.models.resnet import check_size

__all__ = ["StackedHourglass", "hourglass8"]

WIDTH, DEPTH = 256, 4


class Residual(nn.Module):
    """Pre-activated bottleneck of half the output's width (Section 3.2): (N, inputs, H, W) → (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.branch = nn.Sequential(
            *(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), nn.Conv2d(inputs, half, 1)),
            *(nn.BatchNorm2d(half), nn.ReLU(inplace=True), nn.Conv2d(half, half, 3, padding=1)),
            *(nn.BatchNorm2d(half), nn.ReLU(inplace=True), nn.Conv2d(half, outputs, 1)),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.branch(x) + self.shortcut(x)
        return out


class Hourglass(nn.Module):
    """Down by max-pooling `depth` times and up again by nearest neighbour, with a skip at each size (Figure 3).

    (N, width, H, W) → the same shape; H and W divisible by 2**depth.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.skip = Residual(width, width)
        self.down = Residual(width, width)
        self.inner = Hourglass(width, depth - 1) if depth > 1 else Residual(width, width)
        self.up = Residual(width, width)

    def forward(self, x: Tensor) -> Tensor:
        low = self.up(self.inner(self.down(functional.max_pool2d(x, 2))))
        out: Tensor = self.skip(x) + functional.interpolate(low, scale_factor=2.0, mode="nearest")
        return out


class StackedHourglass(nn.Module):
    """(N, 3, H, W) normalised crops, H and W divisible by 64 → heatmaps (N, joints, H/4, W/4).

    In training mode a tuple of such heatmaps, one of each stack, the last the answer (Section 3.3). Weights start as
    PyTorch does, which is how Torch did for the authors; those of the outputs from N(0, 0.001), so that the first
    heatmaps are near zero. As the authors' network every convolution has a bias.
    """

    size_multiple = 64

    def __init__(self, stacks: int, joints: int = 17) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, 64, 7, 2, padding=3), nn.BatchNorm2d(64), nn.ReLU(inplace=True), Residual(64, WIDTH // 2)),
            *(nn.MaxPool2d(2), Residual(WIDTH // 2, WIDTH), Residual(WIDTH, WIDTH)),
        )
        self.stacks = nn.ModuleList(_stack() for _ in range(stacks))
        self.heads = nn.ModuleList(nn.Conv2d(WIDTH, joints, 1) for _ in range(stacks))
        self.feature_returns = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 1) for _ in range(stacks - 1))
        self.heatmap_returns = nn.ModuleList(nn.Conv2d(joints, WIDTH, 1) for _ in range(stacks - 1))
        self.heads.apply(initialise_small)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_size(x, self.size_multiple)
        x = self.stem(x)
        heatmaps: list[Tensor] = []
        for number, (stack, head) in enumerate(zip(self.stacks, self.heads, strict=True)):
            features = stack(x)
            heatmaps.append(head(features))
            if number < len(self.feature_returns):
                x = x + self.feature_returns[number](features) + self.heatmap_returns[number](heatmaps[-1])
        return tuple(heatmaps) if self.training else heatmaps[-1]


def _stack() -> nn.Sequential:
    """An hourglass, a residual at its output's size and a 1×1 convolution."""
    linear = (nn.Conv2d(WIDTH, WIDTH, 1), nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True))
    return nn.Sequential(Hourglass(WIDTH, DEPTH), Residual(WIDTH, WIDTH), *linear)


def hourglass8(joints: int = 17) -> StackedHourglass:
    """Eight stacked hourglasses: 25.6 M parameters."""
    return StackedHourglass(8, joints)

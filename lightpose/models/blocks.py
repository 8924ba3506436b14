"""Building blocks of the Lightweight Pose Network: bottleneck, global context, upsampling (Sections 3.1 and 3.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["GlobalContext", "LightweightBottleneck", "conv_bn", "initialise_kaiming", "upsample"]


def conv_bn(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution without bias that keeps the size (at stride 1), batch norm, and a ReLU if wanted."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def upsample(inputs: int, outputs: int) -> nn.Sequential:
    """Doubles height and width: grouped 4×4 transposed convolution, then a 1×1 convolution (Section 3.2)."""
    groups = math.gcd(inputs, outputs)
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        *conv_bn(outputs, outputs),
    )


class GlobalContext(nn.Module):
    """Adds one attention-pooled vector, transformed, to every position (Cao et al., GCNet; Figure 2d of the paper).

    (N, C, H, W) → the same shape. The hidden width is C // 16, at least 16.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(16, channels // 16)
        self.attention = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.LayerNorm([hidden, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = self.attention(x).flatten(2).softmax(-1)  # (N, 1, H·W)
        context = torch.matmul(x.flatten(2), weights.transpose(1, 2))  # (N, C, 1)
        out: Tensor = x + self.transform(context.unsqueeze(-1))
        return out


class LightweightBottleneck(nn.Module):
    """1×1, 3×3 depthwise, 1×1 convolution of one width, then global context if wanted, and a shortcut (Figure 2b, 2c).

    (N, inputs, H, W) → (N, width, H/stride, W/stride).
    """

    def __init__(self, inputs: int, width: int, stride: int = 1, gc: bool = True) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv_bn(inputs, width),
            conv_bn(width, width, kernel=3, stride=stride, groups=width),
            conv_bn(width, width, relu=False),
            GlobalContext(width) if gc else nn.Identity(),
        )
        same = stride == 1 and inputs == width
        self.shortcut = nn.Identity() if same else conv_bn(inputs, width, stride=stride, relu=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return out


def initialise_kaiming(network: nn.Module) -> None:
    """Start a network from He et al.'s weights instead of the paper's N(0, 0.001), which Adam's first steps drown.

    Convolutions with a bias (the output, and those of global context) keep their small start, save the first of each
    global-context transform; the blocks begin as identities.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, GlobalContext):
            for name, weight in module.transform.named_parameters():
                if name == "0.weight":
                    nn.init.kaiming_normal_(weight, nonlinearity="relu")
                elif name == "3.weight":
                    nn.init.zeros_(weight)

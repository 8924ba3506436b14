"""Building blocks of the Lightweight Pose Network: bottleneck, global context, upsampling (Sections 3.1 and 3.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "GlobalContext",
    "GroupedUpsampling",
    "LightweightBottleneck",
    "conv_bn",
    "initialise_kaiming",
    "initialise_small",
    "upsample",
]


def conv_bn(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution without bias that keeps the size (at stride 1), batch norm, and a ReLU if wanted."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class GroupedUpsampling(nn.ConvTranspose2d):
    """4×4 stride-2 transposed convolution, grouped by what inputs and outputs share.

    (N, inputs, H, W) → (N, outputs, 2H, 2W).

    Where each group has one output, as in the paper, it is computed as the sum of depthwise convolutions, one for each
    member of a group, which PyTorch trains several times as fast.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1, groups=math.gcd(inputs, outputs), bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # PyTorch has no fast grouped transposed convolution in bfloat16 on a CPU: float32 is several times as fast
            with torch.autocast("cpu", enabled=False):
                return self._upsample(x.float()).to(torch.get_autocast_dtype("cpu"))
        return self._upsample(x)

    def _upsample(self, x: Tensor) -> Tensor:
        members = self.in_channels // self.groups
        if members == 1 or self.out_channels != self.groups:
            return super().forward(x)
        parts = [
            functional.conv_transpose2d(
                x[:, member::members].contiguous(memory_format=torch.channels_last),
                self.weight[member::members],
                self.bias if member == 0 else None,
                stride=2,
                padding=1,
                groups=self.groups,
            )
            for member in range(members)
        ]
        return sum(parts[1:], parts[0])


def upsample(inputs: int, outputs: int) -> nn.Sequential:
    """Doubles height and width: grouped 4×4 transposed convolution, then a 1×1 convolution (Section 3.2)."""
    return nn.Sequential(
        GroupedUpsampling(inputs, outputs),
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


def initialise_small(module: nn.Module) -> None:
    """Weights of a convolution from N(0, 0.001) and bias 0: Section 4.1 of the paper, SimpleBaseline and HRNet."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.001)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def initialise_kaiming(network: nn.Module) -> None:
    """Start a network from He et al.'s weights instead of the paper's N(0, 0.001), which Adam's first steps drown.

    Normal with variance 2 / fan-out: the outputs that one input feeds, which are those of its group alone. What lies
    under the name `head` or `heads` keeps its start, and so do the convolutions of global context, save the first of
    each transform; the blocks begin as identities.
    """
    contexts = [module for module in network.modules() if isinstance(module, GlobalContext)]
    kept = {part for context in contexts for part in context.modules()}
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d) or module in kept:
            continue
        if not {"head", "heads"} & set(name.split(".")):
            fan_out = module.out_channels // module.groups * math.prod(module.kernel_size)
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for context in contexts:
        nn.init.kaiming_normal_(context.get_parameter("transform.0.weight"), nonlinearity="relu")
        nn.init.zeros_(context.get_parameter("transform.3.weight"))

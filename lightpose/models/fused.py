"""Networks rearranged for running: batch norm folded, context and upsampling in operators that CPU engines are fast at.

A fused network gives the same answers as the one it was made from, in evaluation mode; it is not for training.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightpose.errors import WeightsError
from lightpose.models.blocks import GlobalContext, GroupedUpsampling, LightweightBottleneck
from lightpose.models.lpn import LPN

__all__ = ["EarlyContext", "PhasedUpsampling", "fold_batch_norm", "fuse"]


def fuse(network: nn.Module) -> nn.Module:
    """A copy of a network, in evaluation mode, for export. Parts that there is nothing better for stay as they are."""
    fused = fold_batch_norm(network)
    if isinstance(fused, LPN):  # the head too is the same at each pixel, so it can come before the interleaving
        *others, last = fused.upsample
        fused.upsample = nn.Sequential(*others, nn.Sequential(*last.children(), fused.head))
        fused.register_module("head", nn.Identity())
    for parent in list(fused.modules()):
        for name, part in list(parent.named_children()):
            parent.register_module(name, _fused(part))
    return fused


def _fused(part: nn.Module) -> nn.Module:
    if isinstance(part, LightweightBottleneck) and any(isinstance(inner, GlobalContext) for inner in part.branch):
        return EarlyContext(part)
    if isinstance(part, nn.Sequential) and len(part):
        first = part[0]
        if isinstance(first, GroupedUpsampling) and first.groups == first.out_channels:
            return PhasedUpsampling(first, part[1:])
    return part


class EarlyContext(nn.Module):
    """A lightweight bottleneck whose context is taken before its last 1×1 convolution W·y + b, not after.

    (N, inputs, H, W) → (N, width, H/stride, W/stride). The attention u·(W·y + b) is (uW)·y but for a constant, which
    softmax drops; the pooled vector is W·(Σ share·y) + b. So the convolution, the addition of the shortcut and ReLU
    stand together, where engines fuse them, and one addition at every position is saved.
    """

    def __init__(self, block: LightweightBottleneck) -> None:
        super().__init__()
        parts: Any = block.branch
        self.before, self.last, self.shortcut = parts[:2], parts[2][0], block.shortcut
        context = parts[3]
        squeeze, self.norm, _, self.expand = context.transform
        weight, bias = self.last.weight.flatten(1), self.last.bias
        self.attention = nn.Parameter(context.attention.weight.flatten(1) @ weight)  # (1, C)
        self.squeeze = nn.Parameter(squeeze.weight.flatten(1) @ weight)  # (hidden, C)
        self.squeeze_bias = nn.Parameter(squeeze.bias + squeeze.weight.flatten(1) @ bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        flat = y.flatten(2)
        shares = torch.matmul(self.attention, flat).softmax(-1)  # (N, 1, H·W)
        pooled = torch.matmul(flat, shares.transpose(1, 2)).squeeze(-1)  # (N, C)
        hidden = functional.linear(pooled, self.squeeze, self.squeeze_bias)
        norm = self.norm
        scale, shift = norm.weight.flatten(), norm.bias.flatten()
        hidden = functional.layer_norm(hidden, list(scale.shape), scale, shift, norm.eps).relu()
        added = functional.linear(hidden, self.expand.weight.flatten(1), self.expand.bias)[:, :, None, None]
        short = self.shortcut(x)
        # OpenCV joins a convolution and a sum, and fails where a term is to be stretched; a difference is the same
        short = short + added if short is x else short - -added
        out: Tensor = (self.last(y) + short).relu()
        return out


class PhasedUpsampling(nn.Module):
    """A grouped 4×4 transposed convolution of stride 2 and what follows it at each pixel, one output for each group.

    (N, inputs, H, W) → (N, outputs of `after`, 2H, 2W). Each of the four phases (even or odd row and column) of a
    transposed convolution is a 2×2 convolution of its input. What follows is done on the phases, a quarter of the size
    each, and only its result is interleaved.
    """

    def __init__(self, upsampling: GroupedUpsampling, after: nn.Module) -> None:
        super().__init__()
        self.after = after
        self.groups = upsampling.groups
        self.members = upsampling.in_channels // upsampling.groups
        self.bias = upsampling.bias
        taps = ([3, 1], [2, 0])  # of an even output: the pixel before and the pixel; of an odd one: it and the next
        kernels = [upsampling.weight[:, :, rows][..., columns] for rows in taps for columns in taps]
        self.weights = nn.ParameterList(nn.Parameter(kernel.contiguous()) for kernel in kernels)
        self.pads = [(1 - column, column, 1 - row, row) for row in (0, 1) for column in (0, 1)]

    def forward(self, x: Tensor) -> Tensor:
        inputs = [x[:, member :: self.members] for member in range(self.members)] if self.members > 1 else [x]
        phases = [
            self.after(self._phase(inputs, weight, pad)) for weight, pad in zip(self.weights, self.pads, strict=True)
        ]
        count, channels, height, width = phases[0].shape
        parts = torch.stack(phases, 2).reshape(count, channels, 2, 2, height, width)
        # engines are slow at a permutation that moves two axes, and fast at one after the other
        rows = parts.movedim(3, 5).reshape(count, channels, 2, height, 2 * width)
        return rows.movedim(2, 3).reshape(count, channels, 2 * height, 2 * width)

    def _phase(self, inputs: list[Tensor], weight: Tensor, pad: tuple[int, int, int, int]) -> Tensor:
        """The sum of depthwise convolutions, one for each member of a group."""
        parts = [
            functional.conv2d(
                functional.pad(part, pad),
                weight[member :: self.members],
                self.bias if member == 0 else None,
                groups=self.groups,
            )
            for member, part in enumerate(inputs)
        ]
        return sum(parts[1:], parts[0])


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of a network, in evaluation mode, with each batch norm folded into the convolution before it."""
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for place in range(len(module) - 1):
            convolution, norm = module[place], module[place + 1]
            if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                _fold(convolution, norm)
                module[place + 1] = nn.Identity()
    return folded


def _fold(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    """Take the batch norm after a convolution into its weight and bias (torch's own fails on grouped transposed)."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise WeightsError("a batch norm without running statistics cannot be folded")
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    weight = convolution.weight
    if isinstance(convolution, nn.ConvTranspose2d):  # (inputs, outputs / groups, h, w)
        groups = convolution.groups
        per_input = scale.view(groups, 1, -1).expand(-1, len(weight) // groups, -1).reshape(*weight.shape[:2], 1, 1)
    else:
        per_input = scale.view(-1, 1, 1, 1)
    bias = torch.zeros_like(mean) if convolution.bias is None else convolution.bias
    convolution.weight = nn.Parameter(weight * per_input)
    convolution.bias = nn.Parameter((bias - mean) * scale + norm.bias)

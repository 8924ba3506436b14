"""RTMPose's networks, written anew from their public definition, as ONNX files such as MMDeploy exports them.

    python benchmarks/peers.py rtmpose-s rtmpose-s.onnx
    python benchmarks/peers.py rtmpose-m rtmw.onnx --joints 133

Their weights are random from a seed, so the files say nothing of accuracy: they are for measuring speed, and for
holding what lightpose reads from a file against what other programs read from the same one. The last layer is scaled
so that scores lie between 0.3 and 1 for most joints.

Sources: Jiang et al., RTMPose (arXiv 2303.07399), sections 3.2 and 3.4; Lyu et al., RTMDet (arXiv 2212.07784), table 7
for the CSPNeXt block; Hua et al., Transformer Quality in Linear Time (arXiv 2202.10447), for the gated attention unit;
MMPose's configurations rtmpose-{t,s,m}_8xb256-420e_coco-256x192 for depths, widths and kernel sizes. The published
costs are in `PUBLISHED`; `python benchmarks/peers.py rtmpose-t check` counts them again.
"""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["PUBLISHED", "build", "cost", "export"]

Name = Literal["rtmpose-t", "rtmpose-s", "rtmpose-m"]

SCALES: dict[str, tuple[float, float]] = {
    "rtmpose-t": (0.167, 0.375),
    "rtmpose-s": (0.33, 0.5),
    "rtmpose-m": (0.67, 0.75),
}
"""Depth and width, as shares of CSPNeXt's own."""

PUBLISHED: dict[str, tuple[float, float]] = {
    "rtmpose-t": (3.34, 0.36),
    "rtmpose-s": (5.47, 0.68),
    "rtmpose-m": (13.59, 1.93),
}
"""Millions of parameters and milliards of multiply-accumulates (called FLOPs there), at 256×192 with 17 joints, as
MMPose's model zoo lists them (projects/rtmpose/README.md)."""

STAGES = ((64, 128, 3, True), (128, 256, 6, True), (256, 512, 6, True), (512, 1024, 3, False))
"""Of CSPNeXt: channels in and out, blocks, and whether a block adds its input. The last pools before its blocks."""

INPUT_HW = (256, 192)
BINS = 2
"""SimCC bins to a pixel."""


def convolution(inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm and SiLU; the size stays, but for the stride."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
        nn.SiLU(),
    )


class Block(nn.Module):
    """CSPNeXt's: a 3×3 convolution, a depthwise one of 5×5, a pointwise one, and the input added where that is so."""

    def __init__(self, channels: int, adds: bool) -> None:
        super().__init__()
        self.path = nn.Sequential(
            convolution(channels, channels, 3),
            convolution(channels, channels, 5, groups=channels),
            convolution(channels, channels, 1),
        )
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.path(x)
        return x + found if self.adds else found


class Crossed(nn.Module):
    """Half of the channels through blocks, half past them, then attention over channels and a 1×1 convolution."""

    def __init__(self, channels: int, blocks: int, adds: bool) -> None:
        super().__init__()
        half = channels // 2
        self.through, self.past = convolution(channels, half, 1), convolution(channels, half, 1)
        self.blocks = nn.Sequential(*(Block(half, adds) for _ in range(blocks)))
        self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(2 * half, 2 * half, 1), nn.Hardsigmoid())
        self.join = convolution(2 * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.blocks(self.through(x)), self.past(x)], dim=1)
        joined: Tensor = self.join(both * self.attention(both))
        return joined


class Pooled(nn.Module):
    """Spatial pyramid pooling: what is there and its maxima over 5, 9 and 13 pixels, in a bottleneck."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow, self.join = convolution(channels, channels // 2, 1), convolution(2 * channels, channels, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(side, 1, side // 2) for side in (5, 9, 13))

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.narrow(x)
        joined: Tensor = self.join(torch.cat([narrow, *(pool(narrow) for pool in self.pools)], dim=1))
        return joined


class ScaleNorm(nn.Module):
    """A vector over its root mean square, times one learnt number."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.root, self.gain = math.sqrt(size), nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True) / self.root
        normal: Tensor = x / length.clamp(min=1e-5) * self.gain
        return normal


class GatedAttention(nn.Module):
    """Gated attention unit over joints: (N, K, size) → the same; squared ReLU in place of a softmax."""

    def __init__(self, size: int, inner: int = 128) -> None:
        super().__init__()
        self.wide, self.inner = 2 * size, inner
        self.norm, self.residual = ScaleNorm(size), nn.Parameter(torch.ones(size))
        self.project = nn.Linear(size, 2 * self.wide + inner, bias=False)
        self.gamma, self.beta = nn.Parameter(torch.rand(2, inner)), nn.Parameter(torch.rand(2, inner))
        self.back = nn.Linear(self.wide, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mixed = nn.functional.silu(self.project(self.norm(x)))
        gate, value, base = mixed.split([self.wide, self.wide, self.inner], -1)  # type: ignore[no-untyped-call]
        query, key = (base.unsqueeze(2) * self.gamma + self.beta).unbind(2)
        kernel = torch.relu(query @ key.transpose(1, 2) / math.sqrt(self.inner)).square()
        found: Tensor = x * self.residual + self.back(gate * (kernel @ value))
        return found


class RTMPose(nn.Module):
    """Images (N, 3, 256, 192), normalised → SimCC vectors along x (N, K, 384) and y (N, K, 512)."""

    def __init__(self, depth: float, width: float, joints: int = 17) -> None:
        super().__init__()
        stem = int(64 * width)
        layers: list[nn.Module] = [
            convolution(3, stem // 2, 3, 2),
            convolution(stem // 2, stem // 2, 3),
            convolution(stem // 2, stem, 3),
        ]
        for number, (inputs, outputs, blocks, adds) in enumerate(STAGES):
            channels = int(outputs * width)
            layers.append(convolution(int(inputs * width), channels, 3, 2))
            if number == len(STAGES) - 1:
                layers.append(Pooled(channels))
            layers.append(Crossed(channels, max(round(blocks * depth), 1), adds))
        self.backbone = nn.Sequential(*layers)
        self.maps = nn.Conv2d(int(STAGES[-1][1] * width), joints, 7, padding=3)
        cells = INPUT_HW[0] // 32 * (INPUT_HW[1] // 32)
        self.embed = nn.Sequential(ScaleNorm(cells), nn.Linear(cells, 256, bias=False))
        self.attention = GatedAttention(256)
        self.along_x = nn.Linear(256, BINS * INPUT_HW[1], bias=False)
        self.along_y = nn.Linear(256, BINS * INPUT_HW[0], bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        joints = self.attention(self.embed(self.maps(self.backbone(images)).flatten(2)))
        return self.along_x(joints), self.along_y(joints)


def build(name: Name, joints: int = 17, seed: int = 0) -> nn.Module:
    """A network with random weights, in evaluation mode: images (N, 3, 256, 192) → (N, K, 384), (N, K, 512)."""
    generator = torch.random.get_rng_state()
    torch.manual_seed(seed)
    network = RTMPose(*SCALES[name], joints).eval()
    noise = torch.randn(8, 3, *INPUT_HW)
    _spread(network, noise)
    torch.random.set_rng_state(generator)
    return network


@torch.inference_mode()
def _spread(network: RTMPose, noise: Tensor) -> None:
    """Give batch norms the statistics of noise, so that images differ in their features, and scores a usual reach."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    network(noise)
    for norm in norms:
        norm.eval().momentum = 0.03
    for layer, found in zip((network.along_x, network.along_y), network(noise), strict=True):
        layer.weight.mul_(0.7 / found.amax(-1).mean())


def cost(network: nn.Module) -> tuple[float, float]:
    """Millions of parameters, and milliards of multiply-accumulates of one image."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, *INPUT_HW))
    return sum(each.numel() for each in network.parameters()) / 1e6, counter.get_total_flops() / 2e9


def export(network: nn.Module, path: Path, outputs: tuple[str, ...] = ("simcc_x", "simcc_y")) -> None:
    """Write it as ONNX: input (batch, 3, 256, 192) float32, and these outputs; all but the batch is fixed."""
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 3, *INPUT_HW),),
            input_names=["input"],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            verbose=False,
            opset_version=18,
        )
    assert program is not None
    model = program.model_proto
    model.ir_version = 9
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    onnx.save(model, str(path))


@dataclass(frozen=True)
class Options:
    """name: of the network. out: the .onnx file; "check" counts parameters and operations instead."""

    name: tyro.conf.Positional[Name]
    out: tyro.conf.Positional[Path]
    joints: int = 17
    seed: int = 0


def main(options: Options) -> None:
    """Export, or print the cost beside the published one."""
    from lightpose.models.fused import fold_batch_norm

    network = build(options.name, options.joints, options.seed)
    parameters, macs = cost(network)
    published = PUBLISHED[options.name]
    print(f"{options.name}: {parameters:.2f} M parameters, {macs:.2f} G; published {published[0]} M, {published[1]} G")
    if str(options.out) != "check":
        export(fold_batch_norm(network), options.out)
        print(f"wrote {options.out}")


if __name__ == "__main__":
    main(tyro.cli(Options))

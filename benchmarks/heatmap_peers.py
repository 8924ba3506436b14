"""ViTPose-S and HRNet-W32 as ONNX files with random weights, such as MMPose's are exported.

    python -m benchmarks.heatmap_peers vitpose-s vitpose-s.onnx
    python -m benchmarks.heatmap_peers hrnet-w32 hrnet-w32.onnx

They say nothing of accuracy: they are for holding what lightpose reads from a file against what other programs read
from the same one. Heatmaps of random weights are nearly as high in many places, and trained ones are not. So they are
blurred as Gaussians would blur them, and each joint is looked for in a part of the crop of its own.

Sources: Xu et al., ViTPose (arXiv 2204.12484), and MMPose's td-hm_ViTPose-small_8xb64-210e_coco-256x192 for sides,
depth, widths and head; Sun et al., HRNet (arXiv 1902.09212), which is lightpose's own `hrnet_w32`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor, nn

from benchmarks.peers import INPUT_HW, export

__all__ = ["Name", "ViTPose", "build"]

Name = Literal["vitpose-s", "hrnet-w32"]
PATCH = 16
BLUR = 2.0
"""Heatmap pixels, as of the Gaussians that such networks learn."""
REACH = 5.0
"""Heatmap pixels around its middle in which a joint is looked for."""


class ViTPose(nn.Module):
    """Images (N, 3, 256, 192), normalised → heatmaps (N, K, 64, 48): a plain vision transformer and two deconvolutions.

    The patches' convolution is padded by 2, and positions are learnt, as ViTPose has it.
    """

    def __init__(self, width: int = 384, depth: int = 12, heads: int = 12, joints: int = 17) -> None:
        super().__init__()
        self.rows, self.columns = INPUT_HW[0] // PATCH, INPUT_HW[1] // PATCH
        self.patches = nn.Conv2d(3, width, PATCH, PATCH, padding=2)
        self.places = nn.Parameter(0.02 * torch.randn(1, self.rows * self.columns, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        layers: list[nn.Module] = []
        for inputs in (width, 256):
            layers += [nn.ConvTranspose2d(inputs, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
        self.head = nn.Sequential(*layers, nn.Conv2d(256, joints, 1))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.places
        found = self.norm(self.blocks(tokens)).transpose(1, 2)
        heatmaps: Tensor = self.head(found.unflatten(2, (self.rows, self.columns)))
        return heatmaps


class Block(nn.Module):
    """Attention over all patches, then two layers on each, with layer norm before and the input added after both."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.query_key_value, self.back = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.each = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        parts = self.query_key_value(self.first(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(1, 2) for part in parts.unbind(2))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self.back(mixed)
        found: Tensor = x + self.each(self.second(x))
        return found


class Clear(nn.Module):
    """A network whose heatmaps (N, K, h, w) are blurred and, for each joint, seen in a part of the crop alone.

    The highest of each is about 0.7 in noise, and none is below 0.
    """

    def __init__(self, network: nn.Module, joints: int) -> None:
        super().__init__()
        self.network = network
        height, width = INPUT_HW[0] // 4, INPUT_HW[1] // 4
        offset = torch.arange(-6, 7)
        along = torch.exp(offset**2 / (-2 * BLUR**2))
        kernel = torch.outer(along, along) / along.sum() ** 2
        self.blur = nn.Conv2d(joints, joints, 13, padding=6, groups=joints, bias=False)
        self.blur.weight = nn.Parameter(kernel.expand(joints, 1, 13, 13).contiguous())
        middles = torch.rand(joints, 2) * torch.tensor([height - 24, width - 24]) + 12
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        far = (rows - middles[:, :1, None]) ** 2 + (columns - middles[:, 1:, None]) ** 2
        self.seen = nn.Parameter(torch.exp(far / (-2 * REACH**2)))
        self.scale = nn.Parameter(torch.ones(1, joints, 1, 1))
        self.middle = nn.Parameter(torch.zeros(1, joints, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        heatmaps: Tensor = torch.relu((self.blur(self.network(images)) - self.middle) * self.scale + 0.5) * self.seen
        return heatmaps


@torch.inference_mode()
def build(name: Name, joints: int = 17, seed: int = 0) -> nn.Module:
    """A network with random weights, in evaluation mode: images (N, 3, 256, 192) → (N, K, 64, 48)."""
    from lightpose.models import MODELS

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ViTPose(joints=joints) if name == "vitpose-s" else MODELS["hrnet_w32"](joints=joints)
        clear = Clear(network, joints).eval()
        noise = torch.nn.functional.interpolate(torch.randn(8, 3, 32, 24), INPUT_HW, mode="bicubic")
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    network(noise)
    for norm in norms:
        norm.eval().momentum = 0.1
    found = clear.blur(network(noise)).transpose(0, 1).flatten(1)
    clear.middle.copy_(found.mean(1)[None, :, None, None])
    clear.scale.copy_(0.2 / found.std(1).clamp(min=1e-9)[None, :, None, None])
    return clear


@dataclass(frozen=True)
class Options:
    """name: of the network. out: the .onnx file."""

    name: tyro.conf.Positional[Name]
    out: tyro.conf.Positional[Path]
    joints: int = 17
    seed: int = 0


def main(options: Options) -> None:
    """Export."""
    network = build(options.name, options.joints, options.seed)
    inner = network.network
    assert isinstance(inner, nn.Module)
    print(f"{options.name}: {sum(each.numel() for each in inner.parameters()) / 1e6:.2f} M parameters")
    export(network, options.out, ("heatmaps",))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main(tyro.cli(Options))

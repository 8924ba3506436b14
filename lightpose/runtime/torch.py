"""The PyTorch engine, and networks as they are exported: uint8 RGB in, keypoints or boxes out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lightpose.models.detector import decode
from lightpose.ops.codec import soft_argmax
from lightpose.ops.geometry import heatmap_scale
from lightpose.runtime import PrecisionName
from lightpose.runtime.threads import choose_threads
from lightpose.types import DetectorSpec, FloatArray, ImageArray, ModelSpec, Spec

__all__ = ["CropNetwork", "DetectorNetwork", "Normalise", "TorchRuntime", "count_cuda", "limit_threads"]

if hasattr(os, "register_at_fork"):
    # a fork copies no threads, and OpenMP would wait for its own; torch's loaders do the same in their workers
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class Normalise(nn.Module):
    """RGB pixels (N, 3, H, W) in [0, 255] → the network's input: channel order, mean and spread of the spec."""

    shift: Tensor
    scale: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.register_buffer("shift", 255 * torch.tensor(spec.mean)[:, None, None], persistent=False)
        self.register_buffer("scale", 1 / (255 * torch.tensor(spec.std)[:, None, None]), persistent=False)
        self.reverse = spec.color_order == "bgr"

    def forward(self, pixels: Tensor) -> Tensor:
        ordered = pixels.flip(1) if self.reverse else pixels
        return (ordered - self.shift) * self.scale


class CropNetwork(nn.Module):
    """(N, H, W, 3) uint8 RGB crops → heatmaps (N, K, h, w), keypoints (N, K, 3): x, y in crop pixels, score.

    Keypoints are decoded with β-soft-argmax whatever the spec's decoder is.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.network = network
        self.beta = spec.beta
        scale = heatmap_scale(spec.input_hw, spec.heatmap_hw, spec.geometry)
        self.register_buffer("to_crop", torch.tensor([*scale, 1.0]), persistent=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        heatmaps = self.network(self.normalise(crops.permute(0, 3, 1, 2).float()))
        return heatmaps, soft_argmax(heatmaps, self.beta) * self.to_crop


class DetectorNetwork(nn.Module):
    """(N, H, W, 3) uint8 RGB images → boxes (N, 300, 4) left, top, right, bottom in input pixels, scores (N, 300).

    They are the best local maxima of the centre heatmap, the surest first; duplicates are still to be dropped.
    """

    def __init__(self, network: nn.Module, spec: DetectorSpec) -> None:
        super().__init__()
        self.normalise = Normalise(spec)
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        normal = self.normalise(images.permute(0, 3, 1, 2).float())
        return decode(self.network(normal.contiguous(memory_format=torch.channels_last)))


def count_cuda() -> int:
    """How many CUDA devices PyTorch sees."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def limit_threads(threads: int) -> None:
    """Let PyTorch use that many threads, in this whole process; 0 leaves it as it is. Raises ConfigError below 0."""
    if count := threads and choose_threads(threads):
        torch.set_num_threads(count)


class TorchRuntime:
    """Runs a network with PyTorch, on the device that its weights are on, in evaluation mode."""

    name = "torch"
    precision: PrecisionName = "float32"
    path: Path | None = None

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        self.spec = spec
        self._network = network
        self._device = next(network.parameters()).device
        self._normalise = Normalise(spec).to(self._device)

    @torch.inference_mode()
    def heatmaps(self, crops: ImageArray) -> FloatArray:
        pixels = torch.from_numpy(np.ascontiguousarray(crops)).to(self._device).permute(0, 3, 1, 2).float()
        was_training = self._network.training
        self._network.eval()
        heatmaps = self._network(self._normalise(pixels.contiguous(memory_format=torch.channels_last)))
        self._network.train(was_training)
        result: FloatArray = heatmaps.float().cpu().numpy()
        return result

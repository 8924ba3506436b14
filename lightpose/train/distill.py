"""A teacher: a trained network whose heatmaps are learned beside the labels (Hinton et al.; Zhang et al., FPD)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightpose.errors import ConfigError
from lightpose.ops.codec import flip_shift
from lightpose.ops.families import check_heatmaps
from lightpose.ops.geometry import heatmap_scale
from lightpose.runtime.torch import Normalise
from lightpose.train.config import DistillConfig
from lightpose.types import ModelSpec
from lightpose.weights import find_weights
from lightpose.weights.network import load_network
from lightpose.weights.open import open_runtime

__all__ = ["Teacher"]


class Teacher:
    """Heatmaps of another network for the crops that are trained on.

    Its crops may have another size and its spec another normalisation: images and heatmaps are resized. An .onnx file
    runs on the CPU, a .safetensors file on the training device. Raises ConfigError if geometry differs, SkeletonError
    if no joint is shared.
    """

    def __init__(self, config: DistillConfig, spec: ModelSpec, device: torch.device) -> None:
        self._config, self._spec, self._device = config, spec, device
        path = find_weights(config.teacher)
        self._network: nn.Module | None = None
        if path.suffix == ".safetensors":
            network, self._its = load_network(path)
            self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._normalise = Normalise(self._its).to(device)
        else:
            self._engine = open_runtime(path, engine="onnxruntime")
            self._its = self._engine.spec
            check_heatmaps(self._its, "distillation")
        if flip_shift(self._its.geometry) != flip_shift(spec.geometry):
            raise ConfigError(
                f"the teacher {config.teacher} has {self._its.geometry} geometry, the model {spec.geometry}; "
                "both must have the same"
            )
        mine, theirs = spec.skeleton.match(self._its.skeleton.joints)
        self._mine, self._theirs = torch.from_numpy(mine).to(device), torch.from_numpy(theirs).to(device)
        self._grid = _heatmap_grid(spec, self._its).to(device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images: (N, 3, H, W) in [0, 255]. Returns targets (N, K, h, w), at least 0, and weights (N, K) in {0, 1}."""
        sized = functional.interpolate(images, self._its.input_hw, mode="bilinear", antialias=True)
        found = self._heatmaps(sized)[:, self._theirs].clamp(min=0)
        grid = self._grid.expand(len(found), -1, -1, -1)
        found = functional.grid_sample(found, grid, mode="bilinear", padding_mode="border", align_corners=False)
        joints = len(self._spec.skeleton)
        targets = found.new_zeros((len(images), joints, *self._spec.heatmap_hw))
        targets[:, self._mine] = found
        return targets, (targets.amax(dim=(2, 3)) >= self._config.min_score).float()

    def _heatmaps(self, images: Tensor) -> Tensor:
        if self._network is not None:
            normal = self._normalise(images).contiguous(memory_format=torch.channels_last)
            heatmaps: Tensor = self._network(normal).float()
            return heatmaps
        crops = images.permute(0, 2, 3, 1).round().clamp(0, 255).byte().cpu().numpy()
        return torch.from_numpy(self._engine.heatmaps(np.ascontiguousarray(crops))).to(self._device)


def _heatmap_grid(mine: ModelSpec, its: ModelSpec) -> Tensor:
    """Where the pixels of my heatmaps are on the teacher's: (1, h, w, 2) xy in [-1, 1], as `grid_sample` takes them.

    From heatmap to crop as the geometry has it, and from my crop to its as `interpolate` does, half a pixel in.
    """
    axes = []
    for axis, scale, its_scale in zip(
        (1, 0),
        heatmap_scale(mine.input_hw, mine.heatmap_hw, mine.geometry),
        heatmap_scale(its.input_hw, its.heatmap_hw, its.geometry),
        strict=True,
    ):
        crop = torch.arange(mine.heatmap_hw[axis]) * scale
        its_crop = (crop + 0.5) * (its.input_hw[axis] / mine.input_hw[axis]) - 0.5
        axes.append((2 * its_crop / its_scale + 1) / its.heatmap_hw[axis] - 1)
    y, x = torch.meshgrid(axes[1], axes[0], indexing="ij")
    return torch.stack([x, y], -1)[None]

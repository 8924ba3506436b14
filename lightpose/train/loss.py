"""What a network is trained to make small."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lightpose.limits import LARGEST_INT, check_factors, check_range
from lightpose.ops.codec import TEMPERATURE

__all__ = ["LossConfig", "heatmap_loss"]


@dataclass(frozen=True)
class LossConfig:
    """Sum of two terms. The defaults are the paper's loss: half the weighted mean squared error, and nothing else.

    mse: factor of that error. cross_entropy: factor of the cross-entropy between softmax(temperature · heatmap) over
    the map and the target as a distribution; it learns from the first step, where squared error alone lingers at zero.
    hard_joints: count only each person's joints of highest loss, that many; 0 for all (Chen et al., CPN, use 8 of 17).
    """

    mse: float = 1.0
    cross_entropy: float = 0.0
    temperature: float = TEMPERATURE
    hard_joints: int = 0

    def __post_init__(self) -> None:
        check_factors({"loss.mse": self.mse, "loss.cross_entropy": self.cross_entropy})
        check_range("loss.temperature", self.temperature, 1e-3, 1e4)
        check_range("loss.hard_joints", self.hard_joints, 0, LARGEST_INT)


def heatmap_loss(heatmaps: Tensor | tuple[Tensor, ...], targets: Tensor, weights: Tensor, config: LossConfig) -> Tensor:
    """Mean over persons and joints of weight · (½ · mean squared error, and cross-entropy, each with its factor).

    heatmaps, targets: (N, K, h, w); several heatmaps (intermediate supervision) add up. weights: (N, K), 0 for joints
    to ignore. Returns a scalar; the loss of a batch is the mean of that of its equal parts.
    """
    if not isinstance(heatmaps, Tensor):
        return torch.stack([heatmap_loss(each, targets, weights, config) for each in heatmaps]).sum()
    heatmaps = heatmaps.float()
    loss = config.mse * 0.5 * ((heatmaps - targets) ** 2).mean(dim=(2, 3))
    if config.cross_entropy:
        share = targets.flatten(2) / targets.sum(dim=(2, 3)).clamp(min=1e-6)[..., None]
        likely = functional.log_softmax(config.temperature * heatmaps.flatten(2), dim=-1)
        loss = loss - config.cross_entropy * (share * likely).sum(-1)
    loss = loss * weights
    if config.hard_joints:
        loss = loss.topk(min(config.hard_joints, loss.shape[1]), dim=1).values
    return loss.mean()

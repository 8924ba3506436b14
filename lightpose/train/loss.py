"""What a network is trained to make small."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lightpose.errors import ConfigError

__all__ = ["LossConfig", "heatmap_loss"]


@dataclass(frozen=True)
class LossConfig:
    """Sum of two terms. The defaults are the paper's loss: half the weighted mean squared error, and nothing else.

    mse: factor of that error. cross_entropy: factor of the cross-entropy between softmax(temperature · heatmap) over
    the map and the target as a distribution; it learns from the first step, where squared error alone lingers at zero.
    """

    mse: float = 1.0
    cross_entropy: float = 0.0
    temperature: float = 20.0

    def __post_init__(self) -> None:
        factors = (self.mse, self.cross_entropy)
        if not all(0 <= factor < math.inf for factor in factors) or sum(factors) == 0:
            raise ConfigError("loss.mse and loss.cross_entropy must be finite, not below 0, and not both 0")
        if not 0 < self.temperature < math.inf:
            raise ConfigError(f"loss.temperature must be finite and above 0, not {self.temperature}")


def heatmap_loss(heatmaps: Tensor, targets: Tensor, weights: Tensor, config: LossConfig) -> Tensor:
    """Mean over joints of ½ · mean squared error · weight, plus the weighted cross-entropy if it has a factor.

    heatmaps, targets: (N, K, h, w). weights: (N, K), 0 for joints to ignore. Returns a scalar.
    """
    error = ((heatmaps - targets) ** 2).mean(dim=(2, 3))
    loss = config.mse * 0.5 * (error * weights).mean()
    if config.cross_entropy:
        share = targets.flatten(2) / targets.sum(dim=(2, 3)).clamp(min=1e-6)[..., None]
        surprise = -(share * functional.log_softmax(config.temperature * heatmaps.flatten(2), dim=-1)).sum(-1)
        loss = loss + config.cross_entropy * (surprise * weights).sum() / torch.clamp(weights.sum(), min=1)
    return loss

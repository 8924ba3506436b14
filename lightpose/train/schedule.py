"""The learning rate at any moment of a run, as a plain function."""

from __future__ import annotations

import math

from lightpose.train.config import OptimConfig

__all__ = ["learning_rate"]


def learning_rate(config: OptimConfig, epoch: float) -> float:
    """Learning rate at a moment counted in epochs, fractions included (0 is the start).

    `steps` is constant between milestones, each of which divides it by 10; `cosine` falls to 0 at the last epoch's end.
    """
    if epoch < config.warmup_epochs:
        return config.lr * epoch / config.warmup_epochs
    if config.schedule == "steps":
        return float(config.lr * 0.1 ** sum(int(epoch) >= milestone for milestone in config.milestones))
    done = (epoch - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1e-9)
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

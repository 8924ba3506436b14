"""The plan of a run, and the learning rate at any moment of it, as plain functions of the epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lightpose.train.config import OptimConfig, PlanConfig

__all__ = ["Moment", "learning_rate", "moment", "total_epochs"]


@dataclass(frozen=True)
class Moment:
    """Where an epoch of the run is in its plan: the stage, and the epoch of the schedule, both from 0."""

    stage: int
    epoch: int
    first: bool
    last: bool


def total_epochs(plan: PlanConfig, optim: OptimConfig) -> int:
    """Epochs of all stages together; 690 in the paper's plan."""
    return optim.epochs if plan.kind == "single" else optim.epochs + plan.stages * (optim.epochs - plan.restart_epoch)


def moment(plan: PlanConfig, optim: OptimConfig, epoch: int) -> Moment:
    """The stage, and the epoch of the schedule, that an epoch of the whole run is in. first, last: of its stage."""
    if epoch < optim.epochs:
        return Moment(0, epoch, epoch == 0, epoch == optim.epochs - 1)
    length = optim.epochs - plan.restart_epoch
    stage, within = divmod(epoch - optim.epochs, length)
    return Moment(stage + 1, plan.restart_epoch + within, within == 0, within == length - 1)


def learning_rate(config: OptimConfig, epoch: float) -> float:
    """Learning rate at a moment of a schedule counted in epochs, fractions included (0 is the start).

    `steps` is constant between milestones, each of which divides it by 10; `cosine` falls to 0 at the last epoch's end.
    """
    if epoch < config.warmup_epochs:
        return config.lr * epoch / config.warmup_epochs
    if config.schedule == "steps":
        return float(config.lr * 0.1 ** sum(int(epoch) >= milestone for milestone in config.milestones))
    done = (epoch - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1e-9)
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

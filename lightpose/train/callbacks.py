"""What a run tells while it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lightpose.types import ImageArray

__all__ = ["FIGURES", "Epoch", "Report", "Reports", "StageResult"]

FIGURES = {"ap": "AP", "ap50": "AP50", "pck": "PCK@0.1", "recall": "recall@0.5"}
"""What people call the figures of an epoch."""


@dataclass(frozen=True)
class Epoch:
    """A validated epoch: its number in the whole run, from 0, its stage, its mean loss, what was measured.

    figures: in [0, 1], by the names in FIGURES. best: whether its weights are the best of its stage, kept for the next.
    """

    number: int
    stage: int
    loss: float
    figures: Mapping[str, float]
    best: bool


@dataclass(frozen=True)
class StageResult:
    """A finished stage: its best validation AP, and the epoch of the run, from 0, that had it."""

    stage: int
    ap: float
    epoch: int


class Report(Protocol):
    """Somebody who is told of a run."""

    def preparing(self, name: str, done: int, total: int) -> None:
        """That many persons or pictures of a data set have been stored, or their checksums compared."""

    def resumed(self, epoch: int, step: int) -> None:
        """An earlier run is taken up here."""

    def stepped(self, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        """Steps of an epoch are done, up to this one; loss is the mean since the last report."""

    def evaluated(self, epoch: Epoch) -> None:
        """An epoch was validated."""

    def previewed(self, epoch: int, picture: ImageArray) -> None:
        """Predictions beside the labels, RGB uint8 (H, W, 3)."""

    def finished(self, stages: Sequence[StageResult]) -> None:
        """A stage is over; these are all so far."""


@dataclass(frozen=True)
class Reports:
    """Several reports told of the same run."""

    members: Sequence[Report]

    def preparing(self, name: str, done: int, total: int) -> None:
        for member in self.members:
            member.preparing(name, done, total)

    def resumed(self, epoch: int, step: int) -> None:
        for member in self.members:
            member.resumed(epoch, step)

    def stepped(self, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        for member in self.members:
            member.stepped(epoch, step, steps, loss, lr)

    def evaluated(self, epoch: Epoch) -> None:
        for member in self.members:
            member.evaluated(epoch)

    def previewed(self, epoch: int, picture: ImageArray) -> None:
        for member in self.members:
            member.previewed(epoch, picture)

    def finished(self, stages: Sequence[StageResult]) -> None:
        for member in self.members:
            member.finished(stages)

"""What a run tells while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from lightpose.types import ImageArray

__all__ = ["FIGURES", "Epoch", "Lines", "Report", "Reports", "StageResult", "Started", "TrainingResult"]

FIGURES = {"ap": "AP", "ap50": "AP50", "pck": "PCK@0.1", "recall": "recall@0.5"}
"""What people call the figures of an epoch."""


@dataclass(frozen=True)
class Started:
    """A run that begins or is taken up. epochs: of all its stages. steps: of an epoch, which shows so many crops.

    what: crops, or of a detector images.
    """

    epochs: int
    steps: int
    shown: int
    what: str = "crops"


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


@dataclass(frozen=True)
class TrainingResult:
    """What a run left: the weights with the best validation AP, that AP in [0, 1], and its epoch of the run, from 0.

    log: what was measured after each epoch, as json.
    """

    weights: Path
    log: Path
    best_ap: float
    best_epoch: int


class Report(Protocol):
    """Somebody who is told of a run."""

    def preparing(self, name: str, done: int, total: int) -> None:
        """That many persons or images of a data set have been stored, or their checksums compared."""

    def started(self, run: Started) -> None:
        """The data are ready, and the first step comes next."""

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

    def started(self, run: Started) -> None:
        for member in self.members:
            member.started(run)

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


class Lines:
    """A Report as lines of text: one for each epoch, and within epochs one a minute, for where no terminal shows bars.

    write: takes a line. every_s: seconds between lines within an epoch. clock: tells seconds, from anywhere on.

        train.run("mine.toml", [Lines(print)])
    """

    def __init__(
        self,
        write: Callable[[str], object],
        every_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._every_s, self._clock = write, every_s, clock
        self._run = Started(0, 1, 0)
        self._start = self._step = 0
        self._told_s = self._begun_s = clock()
        self._begin_pace()
        self._loss = _Mean()
        self._epoch_loss = _Mean()
        self._unvalidated = ""

    def preparing(self, name: str, done: int, total: int) -> None:
        if self._due():
            self._write(f"preparing {name}: {done} of {total}")

    def started(self, run: Started) -> None:
        self._run = run
        self._told_s = self._begun_s = self._clock()
        self._begin_pace()

    def resumed(self, epoch: int, step: int) -> None:
        self._start = self._step = epoch * self._run.steps + step
        self._begin_pace()
        self._write(f"going on at epoch {epoch + 1}, step {step + 1}")

    def stepped(self, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        if self._unvalidated:
            self._write(self._unvalidated)
        count = epoch * steps + step - self._step
        self._step += count
        self._loss.add(loss, count)
        self._epoch_loss.add(loss, count)
        if self._due():
            where = f"epoch {epoch + 1}/{self._run.epochs}  step {step}/{steps}"
            self._write(f"{where}  loss {self._loss.take():.4f}  lr {lr:.1e}  {self._pace()}")
            self._begin_pace()
        done = step == steps
        self._unvalidated = f"epoch {epoch + 1:4}  loss {self._epoch_loss.take():.4f}  not validated" if done else ""

    def evaluated(self, epoch: Epoch) -> None:
        figures = "  ".join(f"{FIGURES[name]} {100 * value:5.1f}" for name, value in epoch.figures.items())
        best = "  best" if epoch.best else ""
        self._write(f"epoch {epoch.number + 1:4}  loss {epoch.loss:.4f}  {figures}{best}")
        self._unvalidated = ""
        self._begin_pace()  # validation is no training

    def previewed(self, epoch: int, picture: ImageArray) -> None:
        """Nothing to say."""

    def finished(self, stages: Sequence[StageResult]) -> None:
        """Nothing to say that the epochs' lines have not."""

    def _due(self) -> bool:
        """Whether it is time for another line; if so, that of the next counts from now."""
        now = self._clock()
        due = now - self._told_s >= self._every_s
        if due:
            self._told_s = now
        return due

    def _begin_pace(self) -> None:
        """Count crops a second from here on."""
        self._pace_s, self._pace_step = self._clock(), self._step

    def _pace(self) -> str:
        """Crops a second since the last line or validation, and the time left by the pace of the whole run so far."""
        run, now = self._run, self._clock()
        pace = (self._step - self._pace_step) * run.shown / run.steps / max(now - self._pace_s, 1e-9)
        left_s = (run.epochs * run.steps - self._step) * (now - self._begun_s) / max(self._step - self._start, 1)
        return f"{pace:.1f} {run.what}/s  {timedelta(seconds=round(left_s))} left"


@dataclass
class _Mean:
    """A mean of what is added until it is taken."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float, count: int) -> None:
        self.total, self.count = self.total + value * count, self.count + count

    def take(self) -> float:
        mean, self.total, self.count = self.total / max(self.count, 1), 0.0, 0
        return mean

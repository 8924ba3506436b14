"""The training loop: one run from a configuration, resumable at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from lightpose.errors import DataError, TrainingError
from lightpose.io.files import clear_asides, write_aside
from lightpose.io.places import alone_in
from lightpose.train.callbacks import Epoch, Report, StageResult, Started
from lightpose.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from lightpose.train.distributed import World
from lightpose.train.learner import Learner
from lightpose.train.places import LOCK
from lightpose.train.sampling import Share
from lightpose.train.schedule import Moment, learning_rate, moment, total_epochs
from lightpose.train.task import Feed
from lightpose.train.tasks import AnyConfig, trainable
from lightpose.weights.network import save_network

__all__ = ["Trainer", "rank"]

_LOG = logging.getLogger("lightpose")
_OVER = (
    "{out} holds a run that is over: all of its {epochs} epochs are done, and nothing is trained. To train on, as on "
    'more data, name another `out`, and model.init = "{out}/best.safetensors"'
)

REPORT_EVERY = 10
"""Steps between readings of the loss on a GPU, each of which waits for it."""


def rank(measured: Mapping[str, float]) -> tuple[float, float, float, float]:
    """What orders epochs: AP; where it ties, PCK or a detector's recall; then the loss; then the later is better."""
    second = next((measured[name] for name in ("pck", "recall") if name in measured), 0.0)
    return measured["ap"], -1.0 if math.isnan(second) else second, -measured["loss"], measured["epoch"]


class Trainer:
    """One training run.

    The folder `config.out` receives `last.pt` (all that is needed to go on), `best.safetensors` (the weights with the
    best validation figures; see `rank`), and in the iterative plan `stage_N.safetensors`, the best of each stage, where
    the next one starts. Given the same configuration, a run that was killed goes on where `last.pt` left it.
    """

    def __init__(self, config: AnyConfig, report: Report, world: World, device: torch.device) -> None:
        self.config, self.report, self.world = config, report, world
        self.out = Path(config.out)
        self.progress = Progress()
        self._device = device
        self._task = trainable(config).make(config, device)
        self._learner: Learner[Any] = Learner(config, self._task, world, device)
        self._batches = self._feed()
        optim = config.optim
        if self._batches.shown // len(self._batches) < world.size * optim.accumulate:
            raise DataError(
                f"a batch of {optim.batch} of the {self._batches.shown} persons of an epoch is less than one each "
                f"for {world.size} processes with {optim.accumulate} parts; raise optim.batch or use fewer"
            )

    def run(self) -> Progress:
        """Train to the last epoch of the last stage. Returns the best validation AP and its epoch."""
        alone = alone_in(self.out, LOCK, "`out`") if self.world.first else contextlib.nullcontext()
        with alone:  # other runs would write over this one
            last = total_epochs(self.config.plan, self.config.optim)
            if self.world.first:
                shows = trainable(self.config).shows
                self.report.started(Started(last, len(self._batches), self._batches.shown, shows))
            self._resume()
            if self.progress.epoch >= last and self.world.first:
                _LOG.warning("%s", _OVER.format(out=self.out, epochs=last))
            while self.progress.epoch < last:
                now = moment(self.config.plan, self.config.optim, self.progress.epoch)
                if now.first and now.stage and self.progress.step == 0:
                    self._begin_stage(now.stage)
                loss = self._epoch(now)
                self._save()  # what was learned, before a validation that may fail
                if (now.epoch + 1) % self.config.evaluate_every == 0 or now.last:
                    self._evaluate(now, loss)
                if now.last:
                    self._end_stage(now.stage)
                self.progress.epoch, self.progress.step, self.progress.loss = self.progress.epoch + 1, 0, 0.0
                self._save()
            return self.progress

    def _feed(self) -> Feed[Any]:
        """The training data; the first process of each machine stores what is missing, before the others."""
        builds = self.world.local_rank == 0
        verify = self.config.data.verify and builds
        if not builds:
            self.world.wait()
        feed = self._task.feed(self._device, self._prepare, verify)
        if builds:
            self.world.wait()
        return feed

    def _prepare(self, name: str, done: int, total: int) -> None:
        if self.world.first:
            self.report.preparing(name, done, total)

    def _resume(self) -> None:
        """Take up the run that `last.pt` holds, if there is one; the first process reads it for all."""
        path = self.out / "last.pt"
        if self.world.first:
            clear_asides(self.out)  # of a run that was killed while it wrote
        content = self.world.share(path.read_bytes() if self.world.first and path.exists() else None)
        if content is not None:
            self.progress = load_checkpoint(content, path, self._fingerprint(), self._learner.parts())
            if self.world.first:
                self.report.resumed(self.progress.epoch, self.progress.step)

    def _fingerprint(self) -> dict[str, Any]:
        """The settings that a resumed run must share."""
        table = dataclasses.asdict(self.config)
        for free in ("out", "device", "compile", "evaluate_every", "preview_every", "checkpoint_every_s"):
            del table[free]
        for free in ("store", "verify", "on_device"):
            del table["data"][free]
        return table

    def _begin_stage(self, stage: int) -> None:
        """Start from the best weights of the stage before, everything else fresh (Section 3.3)."""
        self.world.wait()
        before = self.out / f"stage_{stage - 1}.safetensors"
        weights = load_file(before) if self.world.first else None
        self._learner.restart(self.world.share(weights))
        self.progress.stage_ap, self.progress.stage_epoch = -1.0, -1

    def _epoch(self, now: Moment) -> float:
        """Train what is left of the current epoch. Returns its mean loss."""
        progress, steps = self.progress, len(self._batches)
        every = 1 if self._device.type == "cpu" else REPORT_EVERY
        count, saved = 0, time.monotonic()
        unread = torch.zeros((), device=self._device)
        share = Share(self.world.rank, self.world.size)
        batches = self._batches.epoch(progress.epoch, progress.step, share, self.config.optim.accumulate)
        for step, parts in enumerate(batches, start=progress.step):
            rate = learning_rate(self.config.optim, now.epoch + step / steps)
            unread += self._learner.step(parts, rate)
            count += 1
            progress.step = step + 1
            if count < every and step + 1 < steps:
                continue
            loss = self._read(unread, count, rate)
            progress.loss += loss * count
            count, unread = 0, torch.zeros_like(unread)
            if self.world.first:
                self.report.stepped(progress.epoch, step + 1, steps, loss, rate)
            if self.world.share(time.monotonic() - saved > self.config.checkpoint_every_s):
                self._save()
                saved = time.monotonic()
        return progress.loss / steps

    def _read(self, unread: torch.Tensor, count: int, rate: float) -> float:
        """The mean loss of some steps over all processes. Raises TrainingError if it is no number."""
        loss = self.world.total(unread).item() / count
        if not math.isfinite(loss):
            where = f"epoch {self.progress.epoch + 1}, step {self.progress.step}, learning rate {rate:.1e}"
            raise TrainingError(f"the loss became {loss} at {where}; lower optim.lr, or set optim.clip_norm")
        return loss

    def _evaluate(self, now: Moment, loss: float) -> None:
        """Validate the weights (their running average, if there is one) and keep them if they are the best so far."""
        if not self.world.first:
            return
        progress, network = self.progress, self._learner.answer
        figures = self._task.evaluate(network)
        measured = {"epoch": progress.epoch, "stage": now.stage, "loss": loss, **figures}
        progress.epochs.append(measured)
        best = measured is max((each for each in progress.epochs if each["stage"] == now.stage), key=rank)
        if best:
            progress.stage_ap, progress.stage_epoch = figures["ap"], progress.epoch
            if self.config.plan.kind == "iterative":
                save_network(self.out / f"stage_{now.stage}.safetensors", network, self._task.spec)
        if measured is max(progress.epochs, key=rank):
            progress.best_ap, progress.best_epoch = figures["ap"], progress.epoch
            save_network(self.out / "best.safetensors", network, self._task.spec)
        self.report.evaluated(Epoch(progress.epoch, now.stage, loss, figures, best))
        if self.config.preview_every and ((now.epoch + 1) % self.config.preview_every == 0 or now.last):
            self.report.previewed(progress.epoch, self._task.preview(network))

    def _end_stage(self, stage: int) -> None:
        progress = self.progress
        progress.stages.append({"stage": stage, "ap": progress.stage_ap, "epoch": progress.stage_epoch})
        if self.world.first:
            self.report.finished([StageResult(int(s["stage"]), s["ap"], int(s["epoch"])) for s in progress.stages])

    def _save(self) -> None:
        """Write the checkpoint, and what was measured as `log.json`."""
        if not self.world.first:
            return
        progress, data = self.progress, self.config.data.val.annotations
        log = {"model": self._task.spec.model, "data": data, "epochs": progress.epochs, "stages": progress.stages}
        # before the checkpoint, since a run whose checkpoint says that it is over writes no more
        write_aside(self.out / "log.json", json.dumps(log, indent=1).encode())
        save_checkpoint(self.out / "last.pt", self.progress, self._fingerprint(), self._learner.parts())

"""The training loop: one run from a configuration, resumable at any moment."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lightpose.data.coco import CocoFile, read_coco
from lightpose.data.crops import CropStore, open_store
from lightpose.errors import ConfigError, TrainingError
from lightpose.evaluate.coco import Evaluation, evaluate_given_boxes
from lightpose.models import build, initialise_kaiming
from lightpose.predict import PredictOptions
from lightpose.runtime.torch import Normalise, TorchRuntime
from lightpose.train.batches import Batches
from lightpose.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from lightpose.train.config import TrainConfig
from lightpose.train.loss import heatmap_loss
from lightpose.train.schedule import learning_rate
from lightpose.types import ModelSpec
from lightpose.weights.network import load_into, save_network

__all__ = ["Report", "Trainer"]

Tensors = tuple[Tensor, ...] | list[Tensor]


class Report(Protocol):
    """What a run tells while it goes on."""

    def preparing(self, name: str, done: int, total: int) -> None:
        """That many persons of a data set have been cut out."""

    def resumed(self, epoch: int, step: int) -> None:
        """An earlier run is taken up here."""

    def stepped(self, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        """A step of an epoch is done; loss is that of its batch."""

    def evaluated(self, epoch: int, loss: float, evaluation: Evaluation, best: bool) -> None:
        """An epoch was validated; loss is its mean. best: its weights are kept."""


class Trainer:
    """One training run.

    The folder `config.out` receives `last.pt` (all that is needed to go on) and `best.safetensors` (the weights with
    the highest validation AP). Given the same configuration, a run that was killed goes on where `last.pt` left it.
    """

    def __init__(self, config: TrainConfig, report: Report) -> None:
        self.config, self.report = config, report
        self.spec: ModelSpec = config.model.spec()
        self.out = Path(config.out)
        self.progress = Progress()
        self._device = _choose_device(config.device)
        self._val = read_coco(config.data.val.annotations, config.data.val.images)
        sources = [read_coco(source.annotations, source.images) for source in config.data.train]
        self._batches = Batches(
            [self._open(source) for source in sources],
            [source.repeat for source in config.data.train],
            self.spec,
            config.augment,
            config.optim.batch,
            config.seed,
            config.model.exact_target,
            self._device,
        )
        self._build()

    def run(self) -> Progress:
        """Train to the last epoch. Returns the best validation AP and its epoch."""
        self.out.mkdir(parents=True, exist_ok=True)
        for left in self.out.glob(".*.partial"):  # of a run that was killed while it wrote
            left.unlink(missing_ok=True)
        if (self.out / "last.pt").exists():
            self.progress = load_checkpoint(self.out / "last.pt", self._fingerprint(), self._parts())
            self.report.resumed(self.progress.epoch, self.progress.step)
        while self.progress.epoch < self.config.optim.epochs:
            loss = self._epoch()
            epoch = self.progress.epoch
            if (epoch + 1) % self.config.evaluate_every == 0 or epoch + 1 == self.config.optim.epochs:
                self._evaluate(epoch, loss)
            self.progress.epoch, self.progress.step = epoch + 1, 0
            self._save()
        return self.progress

    def _open(self, source: CocoFile) -> CropStore:
        def tell(done: int, total: int) -> None:
            self.report.preparing(source.path.name, done, total)

        spec, folder = self.spec, Path(self.config.data.store)
        return open_store(source, spec.skeleton, spec.input_hw, spec.geometry, folder, tell)

    def _build(self) -> None:
        torch.manual_seed(self.config.seed)
        optim = self.config.optim
        network = build(self.spec)
        if self.config.model.init == "kaiming":
            initialise_kaiming(network)
        elif self.config.model.init != "paper":
            load_into(self.config.model.init, network, self.spec)
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._normalise = Normalise(self.spec).to(self._device)
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        self._optimizer = kinds[optim.optimizer](
            self._network.parameters(), lr=optim.lr, weight_decay=optim.weight_decay
        )
        average = _running_average(optim.ema)
        self._ema = AveragedModel(self._network, multi_avg_fn=average, use_buffers=True) if optim.ema else None

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"network": self._network, "optimizer": self._optimizer}
        return {**parts, "ema": self._ema} if self._ema is not None else parts

    def _fingerprint(self) -> dict[str, Any]:
        """The settings that a resumed run must share."""
        table = dataclasses.asdict(self.config)
        for free in ("out", "device", "evaluate_every", "checkpoint_every_s"):
            del table[free]
        return table

    def _epoch(self) -> float:
        """Train what is left of the current epoch. Returns its mean loss over the steps done now."""
        progress, steps = self.progress, len(self._batches)
        order = self._batches.order(progress.epoch)
        total, saved, first = 0.0, time.monotonic(), progress.step
        self._network.train()
        for step in range(first, steps):
            rate = learning_rate(self.config.optim, progress.epoch + step / steps)
            loss = self._step(order, step, rate)
            total += loss
            progress.step = step + 1
            self.report.stepped(progress.epoch, step + 1, steps, loss, rate)
            if time.monotonic() - saved > self.config.checkpoint_every_s:
                self._save()
                saved = time.monotonic()
        return total / max(steps - first, 1)

    def _step(self, order: Any, step: int, rate: float) -> float:
        batch = self._batches.get(order[step], self.progress.epoch, step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        images = self._normalise(batch.images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.config.amp):
            heatmaps = self._network(images)
        loss = heatmap_loss(heatmaps.float(), batch.targets, batch.weights, self.config.loss)
        value = loss.item()
        if not math.isfinite(value):
            where = f"epoch {self.progress.epoch + 1}, step {step + 1}, learning rate {rate:.1e}"
            raise TrainingError(f"the loss became {value} at {where}; lower optim.lr, or set optim.clip_norm")
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.optim.clip_norm:
            nn.utils.clip_grad_norm_(self._network.parameters(), self.config.optim.clip_norm)
        self._optimizer.step()
        if self._ema is not None:
            self._ema.update_parameters(self._network)
        return value

    def _evaluate(self, epoch: int, loss: float) -> None:
        """Validate the weights (their running average, if there is one) and keep them if they are the best so far."""
        network: nn.Module = self._network if self._ema is None else self._ema.module
        evaluation = evaluate_given_boxes(
            self._val, TorchRuntime(network, self.spec), PredictOptions(flip=True, batch=64)
        )
        best = self.progress.best_epoch < 0 or evaluation.scores.ap > self.progress.best_ap
        if best:
            self.progress.best_ap, self.progress.best_epoch = evaluation.scores.ap, epoch
            save_network(self.out / "best.safetensors", network, self.spec)
        self.report.evaluated(epoch, loss, evaluation, best)

    def _save(self) -> None:
        save_checkpoint(self.out / "last.pt", self.progress, self._fingerprint(), self._parts())


def _running_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An update of averaged tensors for AveragedModel; young averages follow faster, so that they forget the start."""

    @torch.no_grad()
    def update(averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + float(count)) / (10 + float(count)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, values, share)
        else:  # batch norm's counters
            torch._foreach_copy_(averages, values)

    return update


def _choose_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but PyTorch finds no such GPU; use auto or cpu")
    return torch.device(name)

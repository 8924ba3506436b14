"""Training a pose network: crops of persons, heatmaps, OKS AP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lightpose.data.coco import CocoFile, read_coco
from lightpose.data.crops import CropStore, open_store
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.inference.top_down import PredictOptions
from lightpose.models import build, initialise_kaiming
from lightpose.runtime.torch import TorchRuntime
from lightpose.train.batches import Batch, Batches
from lightpose.train.config import TrainConfig
from lightpose.train.distill import Teacher
from lightpose.train.loss import heatmap_loss
from lightpose.train.preview import preview
from lightpose.train.start import check_measurable, warn_of_mirroring
from lightpose.train.task import Preparing
from lightpose.types import ImageArray
from lightpose.weights.foreign.backbone import load_backbone
from lightpose.weights.network import load_into

__all__ = ["PoseTask"]


class PoseTask:
    """The Task of a pose network. Raises DataError if an annotation file cannot be used."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self._config = config
        self.spec = config.model.spec()
        data = config.data
        self._val = read_coco(data.val.annotations, data.val.images)
        check_measurable(self._val, self.spec.skeleton)
        self._sources = [read_coco(source.annotations, source.images) for source in data.train]
        warn_of_mirroring(self.spec.skeleton.joints, config.augment.flip_probability)
        self._teacher = Teacher(config.distill, self.spec, device) if config.distill.teacher else None

    def network(self) -> nn.Module:
        network, init = build(self.spec), self._config.model.init
        if init == "kaiming":
            initialise_kaiming(network)
        elif init != "paper":
            load_into(init, network, self.spec)
        if backbone := self._config.model.backbone:
            load_backbone(backbone, network, self.spec.model)
        return network

    def feed(self, device: torch.device, preparing: Preparing, verify: bool) -> Batches:
        config = self._config
        return Batches(
            [self._open(source, preparing, verify) for source in self._sources],
            config.data.train,
            self.spec,
            config.augment,
            config.optim.batch,
            config.seed,
            config.model.exact_target,
            device,
            config.data.on_device,
        )

    def _open(self, source: CocoFile, preparing: Preparing, verify: bool) -> CropStore:
        def tell(done: int, total: int) -> None:
            preparing(source.path.name, done, total)

        spec, folder = self.spec, Path(self._config.data.store)
        return open_store(source, spec.skeleton, spec.input_hw, folder, tell, verify, spec.padding)

    def loss(self, outputs: Tensor | tuple[Tensor, ...], batch: Batch) -> Tensor:
        config = self._config
        loss = heatmap_loss(outputs, batch.targets, batch.weights, config.loss)
        if self._teacher is not None:
            targets, weights = self._teacher(batch.images)
            loss = loss + config.distill.weight * heatmap_loss(outputs, targets, weights, config.loss)
        return loss

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        options = PredictOptions(flip=True, batch=64)
        evaluation = evaluate_given_boxes(self._val, TorchRuntime(network, self.spec), options)
        return {"ap": evaluation.scores.ap, "ap50": evaluation.scores.ap50, "pck": evaluation.pck()}

    def preview(self, network: nn.Module) -> ImageArray:
        return preview(self._val, TorchRuntime(network, self.spec))

"""Training a person detector: whole images, centre heatmaps and boxes, box AP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lightpose.data.people import PeopleFile, Scene, read_people
from lightpose.data.pictures import PictureStore, open_pictures
from lightpose.data.stored import read_labelled
from lightpose.evaluate.boxes import score_boxes
from lightpose.evaluate.detections import find_people
from lightpose.models import build_detector, initialise_kaiming
from lightpose.models.detector import Detection
from lightpose.ops.boxes import nms, to_xywh, to_xyxy
from lightpose.ops.grid import image_grid
from lightpose.ops.letterbox import letterbox
from lightpose.results import Boxes
from lightpose.runtime.torch import DetectorNetwork
from lightpose.train.detector_batches import SceneBatch, SceneBatches
from lightpose.train.detector_config import DetectorConfig
from lightpose.train.detector_targets import centre_targets, detector_loss
from lightpose.train.start import check_boxed
from lightpose.train.task import Preparing
from lightpose.types import DetectorSpec, ImageArray
from lightpose.weights.network import start_detector

__all__ = ["DetectionTask", "TorchDetector"]

LEAST_SCORE, NMS_IOU = 0.01, 0.6
"""Of the boxes that are measured: AP looks at unsure ones too."""
COLUMNS, TILE_PX = 4, 320


class DetectionTask:
    """The Task of a person detector. Raises DataError if an annotation file cannot be used."""

    def __init__(self, config: DetectorConfig, _device: torch.device) -> None:
        self._config = config
        self.spec = config.model.spec()
        data = config.data
        self._val = read_people(data.val.annotations, data.val.images)
        check_boxed(self._val)
        self._sources = [read_people(source.annotations, source.images) for source in data.train]

    def network(self) -> nn.Module:
        network = build_detector(self.spec)
        initialise_kaiming(network)
        for head in network.heads:  # their last convolutions alone keep their start
            initialise_kaiming(head.get_submodule("0"))
        if self._config.model.init != "kaiming":
            start_detector(self._config.model.init, network)
        return network

    def feed(self, device: torch.device, preparing: Preparing, verify: bool) -> SceneBatches:
        config, data = self._config, self._config.data
        stores = [self._open(source, preparing, verify) for source in self._sources]
        batch, seed = config.optim.batch, config.seed
        return SceneBatches(stores, data.train, self.spec, config.augment, batch, seed, device, data.on_device)

    def _open(self, source: PeopleFile, preparing: Preparing, verify: bool) -> PictureStore:
        def tell(done: int, total: int) -> None:
            preparing(source.path.name, done, total)

        folder = Path(self._config.data.store)
        return open_pictures(source, self.spec.input_hw, self.spec.pad, folder, tell, verify)

    def loss(self, outputs: Detection, batch: SceneBatch) -> Tensor:
        map_hw = (outputs.logits.shape[2], outputs.logits.shape[3])
        targets = centre_targets(batch.people, batch.ignored, map_hw, self._config.model.stride)
        return detector_loss(outputs, targets, self._config.loss)

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        scores = score_boxes(self._val, find_people(self._val, TorchDetector(network, self.spec)))
        return {"ap": scores.ap, "ap50": scores.ap50, "recall": scores.recall}

    def preview(self, network: nn.Module) -> ImageArray:
        """Twelve images, four a row: the labels in white, boxes above the spec's threshold in orange."""
        scenes = self._val.scenes()
        chosen = [scenes[number] for number in np.unique(np.linspace(0, len(scenes) - 1, 12).astype(int))]
        detector = TorchDetector(network, self.spec, self.spec.threshold)
        return image_grid([_tile(scene, detector) for scene in chosen], COLUMNS)


class TorchDetector:
    """A Detector that runs a network with PyTorch, where its weights are, in evaluation mode."""

    def __init__(self, network: nn.Module, spec: DetectorSpec, threshold: float = LEAST_SCORE) -> None:
        self._network, self._spec, self._threshold = network, spec, threshold
        self._device = next(network.parameters()).device
        self._whole = DetectorNetwork(network, spec).to(self._device)

    @torch.inference_mode()
    def __call__(self, image: ImageArray) -> Boxes:
        boxed = letterbox(image, self._spec.input_hw, self._spec.pad)
        was_training = self._network.training
        self._network.eval()
        found = self._whole(torch.from_numpy(boxed.pixels[None]).to(self._device))
        self._network.train(was_training)
        boxes, scores = (value[0].cpu().numpy() for value in found)
        sure = scores >= self._threshold
        corners, scores = boxed.to_picture(boxes[sure]), scores[sure]
        kept = nms(corners, scores, NMS_IOU)
        kept = kept[((corners[:, 2:] - corners[:, :2])[kept] > 0).all(1)]
        return Boxes(to_xywh(corners[kept]), scores[kept])


def _tile(scene: Scene, detector: TorchDetector) -> ImageArray:
    picture = read_labelled(scene.image_path, scene.image_hw, scene.upright)
    tile = letterbox(picture, (TILE_PX, TILE_PX))
    scale = np.array(tile.scale_xy * 2)
    found = to_xyxy(detector(picture).xywh)
    for boxes, color in ((scene.boxes_xyxy, (255, 255, 255)), (found, (255, 140, 0))):
        for left, top, right, bottom in (boxes * scale).round().astype(int).tolist():
            cv2.rectangle(tile.pixels, (left, top), (right, bottom), color, 1)
    return tile.pixels

"""Makes the bundled int8 weights, lpn50_int8 and person_detector_int8, from the bundled ones, and says what they cost.

    pip install '.[train,quantize]'
    python tools/quantize_default_weights.py    # whenever a bundled .onnx has changed; needs the data of the training

Crops and images to calibrate on come from the training sets, those to compare on from the validation sets. AP on the
validation sets (of keypoints: given boxes, flip test) must not fall by more than --max-drop, else nothing is installed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from lightpose.data.calibration import calibration_crops, calibration_images
from lightpose.data.coco import read_coco
from lightpose.detect.onnx import OnnxDetector
from lightpose.evaluate import run_detector
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.export.int8_onnx import record_ap_loss
from lightpose.export.quantize import compare_speed, quantize
from lightpose.export.quantize_detector import quantize_detector
from lightpose.inference.top_down import PredictOptions
from lightpose.runtime import Runtime
from lightpose.types import DetectorSpec, ImageArray
from lightpose.weights import install_weights
from lightpose.weights.inspect import describe_weights
from lightpose.weights.open import open_runtime

BUNDLED = Path(__file__).parents[1] / "lightpose/weights/bundled"
TRAINED = {"coco_keypoints/train.json": "coco_keypoints/train2017", "lspet/train.json": "lspet/images"}
"""Labels to calibrate on, and the folders of their images."""

VALIDATED = {
    "everyday images": ("val_everyday.json", "."),
    "LSP-Extended": ("lspet/val.json", "lspet/images"),
}
"""Labels to compare and measure on, and the folders of their images, by name."""

TRAINED_BOXES = {
    "coco_keypoints/train.json": "coco_keypoints/train2017",
    "person_boxes/train.json": "person_boxes/images",
}
VALIDATED_BOXES = {
    "everyday images": ("val_everyday.json", "."),
    "person boxes": ("person_boxes/val.json", "person_boxes/images"),
}
"""The same for the detector."""


@dataclass(frozen=True)
class Options:
    """data: the folder of the sets. crops, images: most of each set. max_drop: of AP, in points."""

    data: Path = Path("data")
    crops: int = 200
    images: int = 100
    max_drop: float = 0.5


def average_precision(runtime: Runtime, data: Path, annotations: str, images: str) -> float:
    """OKS AP on a validation set, in percent."""
    source = read_coco(data / annotations, data / images)
    return 100 * evaluate_given_boxes(source, runtime, PredictOptions(flip=True)).scores.ap


def box_precision(detector: Path, data: Path, annotations: str, images: str) -> float:
    """Box AP on a validation set, in percent."""
    return 100 * run_detector(detector, data / annotations, data / images).scores.ap


def crops_of(options: Options, runtime: Runtime, sets: Iterable[tuple[str, str]]) -> ImageArray:
    """Crops (N, H, W, 3) uint8 of some sets."""
    return np.concatenate(
        [
            calibration_crops(options.data / labels, runtime.spec, options.crops, images=options.data / images)
            for labels, images in sets
        ]
    )


def images_of(options: Options, spec: DetectorSpec, sets: Iterable[tuple[str, str]]) -> ImageArray:
    """Letterboxed images (N, H, W, 3) uint8 of some sets."""
    return np.concatenate(
        [
            calibration_images(options.data / labels, spec, options.images, images=options.data / images)
            for labels, images in sets
        ]
    )


def check_drop(options: Options, name: str, before: float, after: float) -> float:
    """How much AP fell. Ends the program if that is too much."""
    print(f"AP on {name}: {before:.1f} before, {after:.1f} after")
    if before - after > options.max_drop:
        sys.exit(f"AP on {name} fell by more than {options.max_drop}; nothing was installed")
    return before - after


def quantize_pose(options: Options, trial: Path) -> None:
    """Write lpn50_int8 aside and measure it."""
    source = BUNDLED / "lpn50.onnx"
    before = open_runtime(source)
    crops, apart = crops_of(options, before, TRAINED.items()), crops_of(options, before, VALIDATED.values())
    shift = quantize(source, trial, crops, apart, max_shift_px=2)
    after = open_runtime(trial)
    speed = compare_speed(before.heatmaps, after.heatmaps, [crop[None] for crop in apart])
    print(f"lpn50, calibrated on {len(crops)} crops: {shift.to_text()}")
    print(f"one crop: {speed.before_ms:.1f} ms before, {speed.after_ms:.1f} ms after")
    losses = []
    for name, files in VALIDATED.items():
        ap = [average_precision(runtime, options.data, *files) for runtime in (before, after)]
        losses.append(check_drop(options, name, *ap))
    record_ap_loss(trial, max(losses))


def quantize_boxes(options: Options, trial: Path) -> None:
    """Write person_detector_int8 aside and measure it."""
    source = BUNDLED / "person_detector.onnx"
    spec = describe_weights(source).spec
    assert isinstance(spec, DetectorSpec)
    images, apart = images_of(options, spec, TRAINED_BOXES.items()), images_of(options, spec, VALIDATED_BOXES.values())
    shift = quantize_detector(source, trial, images, apart)
    speed = compare_speed(OnnxDetector(source), OnnxDetector(trial), list(apart))
    print(f"person_detector, calibrated on {len(images)} images: {shift.to_text()}")
    print(f"one image: {speed.before_ms:.1f} ms before, {speed.after_ms:.1f} ms after")
    losses = []
    for name, files in VALIDATED_BOXES.items():
        ap = [box_precision(detector, options.data, *files) for detector in (source, trial)]
        losses.append(check_drop(options, f"{name}, boxes", *ap))
    record_ap_loss(trial, max(losses))


def main(options: Options) -> None:
    """Quantize aside, measure, install."""
    with tempfile.TemporaryDirectory() as folder:
        pose, boxes = Path(folder) / "lpn50_int8.onnx", Path(folder) / "person_detector_int8.onnx"
        quantize_pose(options, pose)
        quantize_boxes(options, boxes)
        install_weights(BUNDLED, pose, boxes)
    print(f"installed both in {BUNDLED}; put the figures into docs/model_card.md, then run scripts/test")


if __name__ == "__main__":
    main(tyro.cli(Options))

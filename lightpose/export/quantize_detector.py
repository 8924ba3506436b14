"""Person detectors in 8-bit integers for ONNX Runtime, held against their originals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightpose.detect.onnx import OnnxDetector
from lightpose.errors import ConfigError, WeightsError
from lightpose.export.int8_onnx import quantized
from lightpose.export.quantize import check_formats
from lightpose.io.files import write_aside, written_aside
from lightpose.ops.boxes import iou, to_xyxy
from lightpose.types import SOURCE_KEY, ImageArray
from lightpose.weights import file_sha256, find_weights

__all__ = ["BoxShift", "compare_boxes", "quantize_detector"]

LEAST_IOU = 0.8
"""The least mean overlap with the original's boxes of a file that is kept."""


@dataclass(frozen=True)
class BoxShift:
    """How the boxes of people changed.

    images, boxes: how many of the original's were compared. iou: mean overlap with the nearest new box, 0 where there
    is none. lost: share without a new box that overlaps by half. scores: mean difference of the scores of the others.
    """

    images: int
    boxes: int
    iou: float
    lost: float
    scores: float

    @property
    def compared(self) -> int:
        """On how much the comparison rests."""
        return self.boxes

    def to_text(self) -> str:
        """All of it, for people to read."""
        return (
            f"boxes overlap with the original's by {self.iou:.3f} (IoU) in the mean, scores differ by "
            f"{self.scores:.3f}, and {100 * self.lost:.1f} % of the boxes are lost ({self.boxes} boxes on "
            f"{self.images} images held out)"
        )


def quantize_detector(model: str | Path, out: str | Path, calibration: ImageArray, held_out: ImageArray) -> BoxShift:
    """Write a detector that lightpose exported (.onnx, or bundled by name) with its convolutions in int8.

    calibration: letterboxed images (N, H, W, 3) uint8 of its input size, whose ranges of values set the scales.
    held_out: other ones, to compare on. Returns how its boxes changed; if they overlap with the original's by less than
    0.8 in the mean, raises WeightsError and leaves no file. Raises ConfigError for OpenVINO's format,
    MissingPackageError without onnx.
    """
    out, path = Path(out), find_weights(model)
    check_formats(path, out)
    if out.suffix != ".onnx":
        raise ConfigError(f"a detector in int8 is for ONNX Runtime: call the file {out.with_suffix('.onnx')}")
    if not len(calibration) or not len(held_out):
        raise ConfigError("calibration and comparison need an image each at least; name more pictures of people")
    before = OnnxDetector(path)
    if before.precision == "int8":
        raise ConfigError(f"{path} is in int8 already; give the file that it was made from")
    with written_aside(out) as (aside,):
        graph = quantized(path, calibration)
        graph.metadata_props.add(key=SOURCE_KEY, value=file_sha256(path))
        write_aside(aside, graph.SerializeToString())
        shift = compare_boxes(before, OnnxDetector(aside), held_out)
        if not shift.iou >= LEAST_IOU:
            raise WeightsError(
                f"in int8 the boxes overlap with the original's by {shift.iou:.2f} in the mean, less than {LEAST_IOU}, "
                "so it was not kept; calibrate on more pictures like those it is for"
            )
    return shift


def compare_boxes(before: OnnxDetector, after: OnnxDetector, images: ImageArray) -> BoxShift:
    """What another form of a detector changes, on images (N, H, W, 3). Raises WeightsError if there is nobody."""
    overlaps, scores = [np.zeros(0)], [np.zeros(0)]
    for image in images:
        old, new = before(image), after(image)
        corners, others = (to_xyxy(boxes.xywh.astype(np.float64)) for boxes in (old, new))
        table = iou(corners, others) if len(new) else np.zeros((len(old), 1))
        overlaps.append(table.max(axis=1))
        if len(new):
            near = table.max(axis=1) >= 0.5
            scores.append(np.abs(old.scores - new.scores[table.argmax(axis=1)])[near])
    found, apart = np.concatenate(overlaps), np.concatenate(scores)
    if not len(found):
        raise WeightsError("the detector finds nobody on the images to compare on; name pictures of people")
    return BoxShift(
        len(images),
        len(found),
        float(found.mean()),
        float((found < 0.5).mean()),
        float(apart.mean() if len(apart) else 1),
    )

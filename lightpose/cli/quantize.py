"""`lightpose quantize`: an exported network in 8-bit integers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from lightpose.cli.marks import Reads, ReadsNamed, Writes
from lightpose.errors import ConfigError
from lightpose.types import TaskName
from lightpose.weights import find_weights

__all__ = ["Quantize"]

FEW = 200
"""Sure joints, or boxes, below which a comparison says little."""


@dataclass(frozen=True)
class Quantize:
    """Write an exported network with its convolutions in int8, and say what that costs and brings.

    It is a third of the size, and faster on CPUs with VNNI (Intel from 2019 on, AMD from Zen 4 on) or Arm's dot
    product. lightpose predict --model mine.onnx takes mine_int8.onnx beside it on such CPUs, if --annotations showed
    that it loses at most 0.5 points of AP. The same goes for a person detector and --detector. Example:
    lightpose quantize mine.onnx --calibrate train.json --images train --out mine_int8.onnx
    """

    model: Positional[ReadsNamed]
    """An .onnx or .xml file that lightpose exported, or the name of bundled weights."""
    calibrate: Reads
    """Real pictures of people: a COCO keypoint file (with --images), or a folder, such as the training set's. A quarter
    of the crops, up to 64, is kept apart to compare on."""
    out: Writes
    """The file to write: .onnx for ONNX Runtime; .xml, with a .bin beside it, for OpenVINO."""
    images: Reads | None = None
    """Folder of the pictures of a COCO file."""
    boxes: Reads | None = None
    """Boxes of the people in a folder's pictures (.json); without it each picture is one person, whole."""
    crops: int = 300
    """Most crops, or images of a detector, to calibrate on."""
    max_shift_px: float = 1.0
    """Pose networks: keep nothing if keypoints move by more, in the mean over joints that score above 0.2, in pixels of
    the crop."""
    annotations: Reads | None = None
    """COCO file to measure AP on before and after: of keypoints (flip test, given boxes), or of a detector's boxes."""
    annotation_images: Reads | None = None
    """Folder of its pictures."""

    def run(self) -> int:
        """0 if the file was written."""
        from lightpose.export import run_quantize
        from lightpose.export.int8_onnx import record_ap_loss

        if (self.annotations is None) != (self.annotation_images is None):
            raise ConfigError("AP needs both --annotations and --annotation-images")
        done = run_quantize(
            self.model,
            self.calibrate,
            self.out,
            images=self.images,
            boxes=self.boxes,
            crops=self.crops,
            max_shift_px=self.max_shift_px,
        )
        shift, speed = done.shift, done.speed
        inputs, things = ("images", "boxes") if done.task == "detector" else ("crops", "joints")
        size = f"{done.size_bytes / 1e6:.1f} MB{' with its .bin' if self.out.suffix == '.xml' else ''}"
        print(f"{done.path}: {size}, calibrated on {done.calibrated_on} {inputs}")
        print(shift.to_text())
        if shift.compared < FEW:
            print(f"{shift.compared} {things} are too few to judge by; name more pictures of people", file=sys.stderr)
        print(
            f"each: {speed.before_ms:.1f} ms before ({done.before}), {speed.after_ms:.1f} ms after ({done.after}): "
            f"{speed.ratio:.2f} times as fast"
        )
        if self.annotations and self.annotation_images:
            before = self._average_precision("before", find_weights(self.model), done.task)
            after = self._average_precision("after", self.out, done.task)
            if self.out.suffix == ".onnx":
                record_ap_loss(self.out, before - after)
        else:
            print("AP was not measured: name labelled people as --annotations and --annotation-images", file=sys.stderr)
        return 0

    def _average_precision(self, when: str, model: Path, task: TaskName) -> float:
        """AP of keypoints or boxes on the labelled people, in points."""
        from lightpose.cli.console import counting_all
        from lightpose.evaluate import run, run_detector

        assert self.annotations is not None
        assert self.annotation_images is not None
        with counting_all() as progress:
            if task == "detector":
                ap = run_detector(model, self.annotations, self.annotation_images, progress=progress).scores.ap
            else:
                ap = run(model, self.annotations, self.annotation_images, progress=progress).evaluation.scores.ap
        print(f"AP {when}: {100 * ap:.1f}")
        return 100 * ap

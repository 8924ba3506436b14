"""`lightpose quantize`: an exported network in 8-bit integers."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tyro.conf import Positional

from lightpose.cli.marks import Reads, ReadsNamed, Writes
from lightpose.errors import ConfigError

__all__ = ["Quantize"]

FEW = 200
"""Sure joints below which a comparison says little: those of a dozen people."""


@dataclass(frozen=True)
class Quantize:
    """Write an exported network with its convolutions in int8, and say what that costs and brings.

    It is a third of the size, and faster on CPUs with VNNI (Intel from 2019 on, AMD from Zen 4 on) or Arm's dot
    product. lightpose predict --model mine.onnx takes mine_int8.onnx beside it on such CPUs, if --annotations showed
    that it loses at most 0.5 points of AP. Example:
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
    """Most crops to calibrate on."""
    max_shift_px: float = 1.0
    """Keep nothing if keypoints move by more, in the mean over joints that score above 0.2, in pixels of the crop."""
    annotations: Reads | None = None
    """COCO keypoint file to measure AP on before and after (flip test, given boxes)."""
    annotation_images: Reads | None = None
    """Folder of its pictures."""

    def run(self) -> int:
        """0 if the file was written."""
        from lightpose.cli.console import counting_all
        from lightpose.evaluate import run
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
        print(f"{done.path}: {done.size_bytes / 1e6:.1f} MB with its .bin, calibrated on {done.calibrated_on} crops")
        print(
            f"keypoints moved by {shift.mean_px:.2f} px in the mean, 95 % by at most {shift.p95_px:.2f} px, heatmaps "
            f"by at most {shift.heatmaps:.2f} ({shift.joints} sure joints on {shift.crops} crops held out)"
        )
        if shift.joints < FEW:
            print(f"{shift.joints} joints are too few to judge by; name more pictures of people", file=sys.stderr)
        print(
            f"one crop: {speed.before_ms:.1f} ms before ({done.before}), {speed.after_ms:.1f} ms after ({done.after}): "
            f"{speed.ratio:.2f} times as fast"
        )
        if self.annotations and self.annotation_images:
            found = []
            for name, model in (("before", self.model), ("after", self.out)):
                with counting_all() as progress:
                    scores = run(model, self.annotations, self.annotation_images, progress=progress).evaluation.scores
                print(f"AP {name}: {100 * scores.ap:.1f}")
                found.append(100 * scores.ap)
            if self.out.suffix == ".onnx":
                record_ap_loss(self.out, found[0] - found[1])
        else:
            print("AP was not measured: name labelled people as --annotations and --annotation-images", file=sys.stderr)
        return 0

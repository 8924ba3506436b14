"""`lightpose quantize`: an exported network in 8-bit integers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from lightpose.errors import ConfigError

__all__ = ["Quantize"]

if TYPE_CHECKING:
    from lightpose.runtime import Runtime

HELD_OUT = 64
"""Crops to compare on, beside those for calibration; fewer where there are few."""


@dataclass(frozen=True)
class Quantize:
    """Write an exported network with its convolutions in int8, for OpenVINO, and say what that costs and brings.

    It is a third of the size. It is faster on CPUs with VNNI (Intel from 2019 on, AMD from Zen 4 on); on others ONNX
    Runtime with the .onnx file may be as fast. Example:
    lightpose quantize mine.onnx --calibrate train.json --images train --out mine_int8.xml
    """

    model: Positional[str]
    """An .onnx or .xml file that lightpose exported, or the name of bundled weights."""
    calibrate: Path
    """Real pictures of people: a COCO keypoint file (with --images), or a folder, such as the training set's. A quarter
    of the crops, up to 64, is kept apart to compare on."""
    out: Path
    """The file to write: .xml; a .bin goes beside it."""
    images: Path | None = None
    """Folder of the pictures of a COCO file."""
    boxes: Path | None = None
    """Boxes of the people in a folder's pictures (.json); without it each picture is one person, whole."""
    crops: int = 300
    """Most crops to calibrate on."""
    max_shift_px: float = 1.0
    """Keep nothing if keypoints move by more, in the mean over joints that score above 0.2, in pixels of the crop."""
    annotations: Path | None = None
    """COCO keypoint file to measure AP on before and after (flip test, given boxes)."""
    annotation_images: Path | None = None
    """Folder of its pictures."""

    def run(self) -> int:
        """0 if the file was written."""
        from lightpose.cli.console import check_place
        from lightpose.data.calibration import calibration_crops
        from lightpose.export.quantize import compare_speed, quantize
        from lightpose.weights.open import open_runtime

        check_place(self.out)
        if self.crops < 1:
            raise ConfigError(f"calibration needs a crop at least, not {self.crops}")
        if (self.annotations is None) != (self.annotation_images is None):
            raise ConfigError("AP needs both --annotations and --annotation-images")
        before = open_runtime(self.model)
        wanted = self.crops + min(HELD_OUT, (self.crops + 2) // 3)
        crops = calibration_crops(self.calibrate, before.spec, wanted, images=self.images, boxes=self.boxes)
        apart = min(HELD_OUT, (len(crops) + 3) // 4)
        held_out, calibration = crops[:apart], crops[apart:]
        shift = quantize(self.model, self.out, calibration, held_out, self.max_shift_px)
        after = open_runtime(self.out)
        speed = compare_speed(before, after, held_out)
        size = sum(self.out.with_suffix(suffix).stat().st_size for suffix in (".xml", ".bin")) / 1e6
        print(f"{self.out}: {size:.1f} MB with its .bin, calibrated on {len(calibration)} crops")
        print(
            f"keypoints moved by {shift.mean_px:.2f} px in the mean, 95 % by at most {shift.p95_px:.2f} px, heatmaps "
            f"by at most {shift.heatmaps:.2f} ({shift.joints} sure joints on {shift.crops} crops held out)"
        )
        print(
            f"one crop: {speed.before_ms:.1f} ms before ({before.name}), {speed.after_ms:.1f} ms after ({after.name}): "
            f"{speed.ratio:.2f} times as fast"
        )
        if self.annotations and self.annotation_images:
            for name, runtime in (("before", before), ("after", after)):
                print(f"AP {name}: {_average_precision(runtime, self.annotations, self.annotation_images):.1f}")
        return 0


def _average_precision(runtime: Runtime, annotations: Path, images: Path) -> float:
    """OKS AP in percent, in the given boxes, with the flip test."""
    from lightpose.cli.console import counting
    from lightpose.evaluate.detections import open_source
    from lightpose.evaluate.job import Job
    from lightpose.evaluate.protocol import PROTOCOLS

    protocol = PROTOCOLS["lightpose"]
    job = Job(open_source(annotations, images), runtime, protocol.options(), protocol)
    with counting("persons", job.persons) as advance:
        return 100 * job.run(advance).scores.ap

"""Makes the bundled int8 weights, lpn50_int8, from the bundled lpn50, and says what they cost.

    pip install '.[train,quantize]'
    python tools/quantize_default_weights.py    # whenever lpn50.onnx has changed; needs the data that it was trained on

Crops to calibrate on come from the training sets, those to compare on from the validation sets. AP on both validation
sets (given boxes, flip test) must not fall by more than --max-drop, else nothing is installed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from lightpose.data.calibration import calibration_crops
from lightpose.data.coco import read_coco
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.export.int8_onnx import record_ap_loss
from lightpose.export.quantize import compare_speed, quantize
from lightpose.inference.top_down import PredictOptions
from lightpose.runtime import Runtime
from lightpose.weights import install_weights
from lightpose.weights.open import open_runtime

BUNDLED = Path(__file__).parents[1] / "lightpose/weights/bundled"
TRAINED = {"coco_keypoints/train.json": "coco_keypoints/train2017", "lspet/train.json": "lspet/images"}
"""Labels to calibrate on, and the folders of their images."""

VALIDATED = {
    "everyday images": ("val_everyday.json", "."),
    "LSP-Extended": ("lspet/val.json", "lspet/images"),
}
"""Labels to compare and measure on, and the folders of their images, by name."""


@dataclass(frozen=True)
class Options:
    """data: the folder of the sets. crops: most of each set. max_drop: of AP, in points."""

    data: Path = Path("data")
    crops: int = 200
    max_drop: float = 0.5


def average_precision(runtime: Runtime, data: Path, annotations: str, images: str) -> float:
    """OKS AP on a validation set, in percent."""
    source = read_coco(data / annotations, data / images)
    return 100 * evaluate_given_boxes(source, runtime, PredictOptions(flip=True)).scores.ap


def crops_of(options: Options, runtime: Runtime, sets: Iterable[tuple[str, str]]) -> np.ndarray:
    """Crops (N, H, W, 3) uint8 of some sets."""
    return np.concatenate(
        [
            calibration_crops(options.data / labels, runtime.spec, options.crops, images=options.data / images)
            for labels, images in sets
        ]
    )


def main(options: Options) -> None:
    """Quantize aside, measure, install."""
    source = BUNDLED / "lpn50.onnx"
    before = open_runtime(source)
    crops, apart = crops_of(options, before, TRAINED.items()), crops_of(options, before, VALIDATED.values())
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "lpn50_int8.onnx"
        shift = quantize(source, trial, crops, apart, max_shift_px=2)
        after = open_runtime(trial)
        speed = compare_speed(before, after, apart)
        print(
            f"calibrated on {len(crops)} crops; keypoints moved {shift.mean_px:.2f} px in the mean, 95 % by at most "
            f"{shift.p95_px:.2f} px, on {shift.crops} others"
        )
        print(f"one crop: {speed.before_ms:.1f} ms before, {speed.after_ms:.1f} ms after")
        losses = []
        for name, files in VALIDATED.items():
            ap = [average_precision(runtime, options.data, *files) for runtime in (before, after)]
            print(f"AP on {name}: {ap[0]:.1f} before, {ap[1]:.1f} after")
            losses.append(ap[0] - ap[1])
            if losses[-1] > options.max_drop:
                sys.exit(f"AP on {name} fell by more than {options.max_drop}; nothing was installed")
        record_ap_loss(trial, max(losses))
        install_weights(BUNDLED, trial)
    print(f"installed lpn50_int8 in {BUNDLED}; put the figures into docs/model_card.md, then run scripts/test")


if __name__ == "__main__":
    main(tyro.cli(Options))

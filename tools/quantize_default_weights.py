"""Makes the bundled int8 weights, lpn50_int8, from the bundled lpn50, and says what they cost.

    pip install '.[train,quantize]'
    python tools/quantize_default_weights.py    # whenever lpn50.onnx has changed; needs the data that it was trained on

Crops to calibrate on come from the training sets, those to compare on from the validation sets. AP on both validation
sets (given boxes, flip test) must not fall by more than --max-drop, else nothing is installed.
"""

from __future__ import annotations

import sys
import tempfile
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
SETS = {"COCO": ("coco_keypoints", "train2017", "val2017"), "LSP-Extended": ("lspet", "images", "images")}
"""Folder of a data set, and in it those of the images of train.json and val.json."""


@dataclass(frozen=True)
class Options:
    """data: the folder of the sets. crops: most of each set. max_drop: of AP, in points."""

    data: Path = Path("data")
    crops: int = 150
    max_drop: float = 0.5


def average_precision(runtime: Runtime, data: Path, name: str) -> float:
    """OKS AP on a validation set, in percent."""
    folder, _, images = SETS[name]
    source = read_coco(data / folder / "val.json", data / folder / images)
    return 100 * evaluate_given_boxes(source, runtime, PredictOptions(flip=True)).scores.ap


def crops_of(options: Options, runtime: Runtime, part: int) -> np.ndarray:
    """Crops (N, H, W, 3) uint8 of both sets. part: 1 for what is trained on, 2 for what is validated on."""
    return np.concatenate(
        [
            calibration_crops(
                options.data / names[0] / ("train.json", "val.json")[part - 1],
                runtime.spec,
                options.crops,
                images=options.data / names[0] / names[part],
            )
            for names in SETS.values()
        ]
    )


def main(options: Options) -> None:
    """Quantize aside, measure, install."""
    source = BUNDLED / "lpn50.onnx"
    before = open_runtime(source)
    crops, apart = crops_of(options, before, 1), crops_of(options, before, 2)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "lpn50_int8.onnx"
        shift = quantize(source, trial, crops, apart)
        after = open_runtime(trial)
        speed = compare_speed(before, after, apart)
        print(
            f"calibrated on {len(crops)} crops; keypoints moved {shift.mean_px:.2f} px in the mean, 95 % by at most "
            f"{shift.p95_px:.2f} px, on {shift.crops} others"
        )
        print(f"one crop: {speed.before_ms:.1f} ms before, {speed.after_ms:.1f} ms after")
        losses = []
        for name in SETS:
            ap = [average_precision(runtime, options.data, name) for runtime in (before, after)]
            print(f"AP on {name}: {ap[0]:.1f} before, {ap[1]:.1f} after")
            losses.append(ap[0] - ap[1])
            if losses[-1] > options.max_drop:
                sys.exit(f"AP on {name} fell by more than {options.max_drop}; nothing was installed")
        record_ap_loss(trial, max(losses))
        install_weights(BUNDLED, trial)
    print(f"installed lpn50_int8 in {BUNDLED}; put the figures into docs/model_card.md, then run scripts/test")


if __name__ == "__main__":
    main(tyro.cli(Options))

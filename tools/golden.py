"""Write tests/golden.json anew: what the bundled weights answer on the example photos, and their AP.

python tools/golden.py --data data

Run it when the bundled weights change, never because a test fails. data: the folder with coco_keypoints and lspet that
the model card describes.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from lightpose import PoseEstimator
from lightpose.data.coco import read_coco
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.inference.folder import predict_images
from lightpose.inference.top_down import PredictOptions
from lightpose.io.files import write_aside
from lightpose.io.sources import find_images
from lightpose.weights import known_sha256
from lightpose.weights.open import open_runtime

ROOT = Path(__file__).parents[1]
SETS = {
    "coco_val": ("coco_keypoints/val.json", "coco_keypoints/val2017"),
    "lspet_val": ("lspet/val.json", "lspet/images"),
}


@dataclass(frozen=True)
class Options:
    """data: the folder of the validation sets."""

    data: Path


def photo_rows() -> list[dict[str, Any]]:
    """keypoints.json of the example photos, with flip test, in float32."""
    with tempfile.TemporaryDirectory() as out:
        estimator = PoseEstimator(flip=True, precision="float32")
        predict_images(find_images([str(ROOT / "examples/photos")]), estimator, Path(out), draw=False)
        rows: list[dict[str, Any]] = json.loads((Path(out) / "keypoints.json").read_text(encoding="utf-8"))
    return rows


def average_precision(data: Path, name: str) -> float:
    """AP of the default weights on a validation set: given boxes, flip test, their own decoder."""
    annotations, images = SETS[name]
    source = read_coco(data / annotations, data / images)
    return evaluate_given_boxes(source, open_runtime(), PredictOptions(flip=True)).scores.ap


def main(options: Options) -> None:
    """Write the file."""
    golden = {
        "weights": known_sha256(),
        "photos": photo_rows(),
        "ap": {name: average_precision(options.data, name) for name in SETS},
    }
    write_aside(ROOT / "tests/golden.json", json.dumps(golden, indent=1).encode())


if __name__ == "__main__":
    main(tyro.cli(Options))

"""How far keypoints move in an OpenVINO program that sets no precision, so that CPUs with bfloat16 use it.

    python benchmarks/plain_openvino.py mine.xml --annotations val_everyday.json --images . --crops 128

Compares the graph's own `keypoints` with those of the same file in float32, over joints that score more than 0.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
import tyro

from lightpose.data.calibration import calibration_crops
from lightpose.runtime.openvino import compile_graph, read_graph

SURE = 0.3


@dataclass(frozen=True)
class Options:
    """file: .xml or .onnx. annotations, images: labelled people, of whom some are cropped."""

    file: tyro.conf.Positional[Path]
    annotations: Path
    images: Path
    crops: int = 128


def main(options: Options) -> None:
    """Print the mean and the largest move, in pixels of the crop."""
    graph, spec = read_graph(options.file)
    crops = calibration_crops(options.annotations, spec, options.crops, images=options.images)
    exact = compile_graph(graph, threads=1)(crops)["keypoints"].copy()
    core = openvino.Core()
    plain = core.compile_model(core.read_model(str(options.file)), "CPU")(crops)["keypoints"]
    moved = np.linalg.norm((plain - exact)[..., :2], axis=-1)[exact[..., 2] > SURE]
    able = ", ".join(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    print(
        f"{len(moved)} joints of {len(crops)} crops moved {moved.mean():.3f} px in the mean, {moved.max():.2f} at most"
    )
    print(f"this CPU can compute in {able}")


if __name__ == "__main__":
    main(tyro.cli(Options))

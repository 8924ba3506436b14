"""How long pose networks of TensorFlow Lite take beside a network of lightpose, interleaved: BlazePose, MoveNet.

    pip install . ai-edge-litert
    pip download --no-deps mediapipe==0.10.14 && unzip mediapipe-0.10.14-*.whl 'mediapipe/modules/pose_landmark/*'
    python benchmarks/beside_tflite.py mediapipe/modules/pose_landmark/pose_landmark_full.tflite

The network alone is timed, with noise in its input: no detector, no crop, no decoding. One crop at a time, one thread.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from ai_edge_litert.interpreter import Interpreter

from lightpose.bench.interleave import interleaved
from lightpose.runtime.cpu import has_byte_products
from lightpose.weights.open import open_runtime


@dataclass(frozen=True)
class Options:
    """files: of TensorFlow Lite. models: bundled weights, or .onnx files. repeats: rounds that count."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    models: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MODEL...")] = ("lpn50", "lpn50_int8")
    repeats: int = 30


def opened(path: Path) -> Interpreter:
    """A file ready to run, its input filled."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    noise = np.random.default_rng(0).random(taken["shape"])
    interpreter.set_tensor(
        taken["index"], (noise if taken["dtype"] == np.float32 else 255 * noise).astype(taken["dtype"])
    )
    return interpreter


def main(options: Options) -> None:
    """Print medians, half the interquartile range, and ratios to the first model."""
    networks = [open_runtime(model, threads=1) for model in options.models]
    crops = [
        np.random.default_rng(0).integers(0, 256, (1, *each.spec.input_hw, 3), dtype=np.uint8) for each in networks
    ]
    works = [lambda each=each, crop=crop: each.heatmaps(crop) for each, crop in zip(networks, crops, strict=True)]
    names = [*options.models, *(path.name for path in options.files)]
    timings = interleaved([*works, *(opened(path).invoke for path in options.files)], options.repeats)
    print(f"{options.repeats} rounds; the CPU {'has' if has_byte_products() else 'lacks'} instructions for int8")
    for name, timing in zip(names, timings, strict=True):
        print(f"{name}: {timing.ms:.1f} ± {timing.iqr_ms / 2:.1f} ms, {timing.ms / timings[0].ms:.2f} of {names[0]}")


if __name__ == "__main__":
    main(tyro.cli(Options))

"""The SHA-256 of a graph's heatmaps of fixed noise: equal on two CPUs if they compute the same, to the bit.

    python benchmarks/same_bits.py lpn50_int8
    qemu-x86_64 -cpu Haswell "$(command -v python)" benchmarks/same_bits.py lpn50_int8    # a CPU without VNNI

An int8 graph whose sums overflow on the second gives another one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import tyro

from lightpose.runtime.onnx import OnnxRuntime
from lightpose.weights import find_weights


@dataclass(frozen=True)
class Options:
    """model: bundled weights or an .onnx file of lightpose. crops: how many."""

    model: tyro.conf.Positional[str] = "lpn50_int8"
    crops: int = 3


def main(options: Options) -> None:
    """Print it."""
    runtime = OnnxRuntime(find_weights(options.model), threads=1)
    crops = np.random.default_rng(0).integers(0, 256, (options.crops, *runtime.spec.input_hw, 3), dtype=np.uint8)
    print(hashlib.sha256(runtime.heatmaps(crops).tobytes()).hexdigest(), options.model)


if __name__ == "__main__":
    main(tyro.cli(Options))

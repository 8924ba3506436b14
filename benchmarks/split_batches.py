"""Threads that each run a part of a batch alone, against threads that share each convolution; all runs interleaved.

    python benchmarks/split_batches.py --models lpn50 lpn50_int8 --threads 2 --batch 8

Told are medians.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import tyro

from lightpose.bench.interleave import interleaved
from lightpose.runtime.onnx import OnnxRuntime, Session
from lightpose.weights import find_weights


@dataclass(frozen=True)
class Options:
    """models: bundled weights or .onnx files of lightpose. batch: crops in a run. repeats: runs of each that count."""

    models: tuple[str, ...] = ("lpn50", "lpn50_int8")
    threads: int = 2
    batch: int = 8
    repeats: int = 20


def main(options: Options) -> None:
    """Time both ways for each network."""
    for model in options.models:
        path = find_weights(model)
        split, shared = OnnxRuntime(path, options.threads), Session(path, options.threads)
        crops = np.random.default_rng(0).integers(0, 256, (options.batch, *split.spec.input_hw, 3), dtype=np.uint8)
        works: list[Callable[[], object]] = [
            partial(split.heatmaps, crops),
            partial(shared.run, {shared.inputs[0].name: crops}, ["heatmaps"]),
        ]
        here, there = interleaved(works, options.repeats)
        for name, timing in (("parts of the batch", here), ("convolutions shared", there)):
            print(
                f"{model}, {options.threads} threads, batch {options.batch}, {name}: {timing.ms / options.batch:.2f} ms"
            )
        print(f"{model}: splitting is {there.ms / here.ms:.2f} times as fast")


if __name__ == "__main__":
    main(tyro.cli(Options))

"""Engines and files against each other: time for one crop, in turn, so that what else the machine does meets them all.

    python benchmarks/engine_speed.py lpn50 lpn50:openvino mine_int8.xml

Prints the median and the ratio to the first. Processor time is of this process alone: with one thread it is
the fair one on a busy machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import tyro
from tyro.conf import Positional, arg

from lightpose.pipeline import open_runtime
from lightpose.runtime import ModeName


@dataclass(frozen=True)
class EngineSpeed:
    """Time engines and files against each other."""

    models: Annotated[Positional[tuple[str, ...]], arg(metavar="MODEL[:ENGINE]...")]
    """Weights by name or file, and the engine if not the usual one."""
    batch: int = 1
    """Crops at a time."""
    rounds: int = 50
    """Runs of each."""
    threads: int = 1
    """Threads of each engine; 0 is all usable cores."""
    mode: ModeName = "latency"
    """Of OpenVINO."""


def main(options: EngineSpeed) -> None:
    """Measure and print."""
    runtimes = {}
    for which in options.models:
        model, _, engine = which.partition(":")
        mode = options.mode if engine == "openvino" or model.endswith(".xml") else "latency"
        runtimes[which] = open_runtime(model, options.threads, engine or "auto", mode)
    generator = np.random.default_rng(0)
    times: dict[str, list[tuple[float, float]]] = {which: [] for which in runtimes}
    for number in range(options.rounds + 2):
        for which, runtime in runtimes.items():
            crops = generator.integers(0, 256, (options.batch, *runtime.spec.input_hw, 3), dtype=np.uint8)
            wall, processor = time.perf_counter(), time.process_time()
            runtime.heatmaps(crops)
            if number > 1:  # the first two warm up
                times[which].append((time.perf_counter() - wall, time.process_time() - processor))
    medians = {which: 1000 * np.median(taken, axis=0) / options.batch for which, taken in times.items()}
    first = medians[options.models[0]]
    print("ms a crop: wall clock, processor; how often the first one's processor time holds it")
    for which, (wall, processor) in medians.items():
        print(f"{which} ({runtimes[which].name}): {wall:.1f}  {processor:.1f}  {first[1] / processor:.2f}")


if __name__ == "__main__":
    main(tyro.cli(EngineSpeed))

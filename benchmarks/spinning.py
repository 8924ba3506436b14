"""A graph after a short rest: threads that spin after each run, as ONNX Runtime's do by default, against lightpose's.

    python benchmarks/spinning.py lightpose/weights/bundled/lpn50.onnx --threads 2

lightpose stops idle threads, so that others find the cores free. This shows what that costs the next run, and how long
threads spin otherwise: the processor's time that passes while the process sleeps.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tyro

from lightpose.runtime.onnx import open_session

SPIN_S = 0.3
"""Longer than threads spin."""


@dataclass(frozen=True)
class Options:
    """file: the graph, with one input. pauses_ms: between two runs."""

    file: tyro.conf.Positional[Path]
    threads: int = 2
    repeats: int = 30
    pauses_ms: tuple[float, ...] = (0, 3, 10, 30)


def open_spinning(path: Path, threads: int) -> Any:
    """The graph as ONNX Runtime opens it by default."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def one_crop(session: Any) -> dict[str, Any]:
    """Noise for the session's input, at batch 1."""
    entry = session.get_inputs()[0]
    shape = [side if isinstance(side, int) else 1 for side in entry.shape]
    noise = np.random.default_rng(0).integers(0, 255, shape)
    return {entry.name: noise.astype(np.uint8 if "uint8" in entry.type else np.float32)}


def second_run_ms(session: Any, pause_s: float) -> float:
    """Milliseconds of a run, that long after another."""
    crop = one_crop(session)
    session.run(None, crop)
    time.sleep(pause_s)
    start_s = time.perf_counter()
    session.run(None, crop)
    return 1000 * (time.perf_counter() - start_s)


def busy_ms(session: Any) -> float:
    """The processor's time that the process uses after a run, asleep."""
    session.run(None, one_crop(session))
    start_s = time.process_time()
    time.sleep(SPIN_S)
    return 1000 * (time.process_time() - start_s)


def main(options: Options) -> None:
    """Print a row for each pause, in turn, and how long each spins."""
    sessions = {
        "stopped": open_session(options.file, options.threads),
        "spinning": open_spinning(options.file, options.threads),
    }
    print("| pause, ms | stopped, ms | spinning, ms |\n|---|---|---|")
    for pause_ms in options.pauses_ms:
        taken: dict[str, list[float]] = {name: [] for name in sessions}
        for _ in range(options.repeats):
            for name, session in sessions.items():
                time.sleep(SPIN_S)  # until the other's threads rest
                taken[name].append(second_run_ms(session, pause_ms / 1000))
        print(f"| {pause_ms:g} | {' | '.join(f'{statistics.median(each):.1f}' for each in taken.values())} |")
    spun = {name: statistics.median(busy_ms(session) for _ in range(5)) for name, session in sessions.items()}
    print(f"busy after a run: {', '.join(f'{name} {ms:.0f} ms' for name, ms in spun.items())}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))

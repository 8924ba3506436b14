"""Size and speed of the formats: an hour of 30 frames a second with 4 people, and ten seconds read from its middle.

    python benchmarks/formats_size_speed.py --minutes 60 --folder /tmp/formats

The people are made: they walk about with a tremble of a pixel, and joints are missing now and then. Writing is timed by
the clock in one process, on top of making the frames. Memory is the most of a process that writes, above what it takes
with a tenth of the frames.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import lightpose
from lightpose.formats import format_named
from lightpose.results import Boxes, Poses
from lightpose.skeletons import COCO17

FORMATS = ("parquet", "csv", "csv-wide", "jsonl", "openpose-zip", "coco-results", "mot-challenge")


def made(minutes: float, people: int = 4, fps: int = 30) -> Iterator[Poses]:
    """Frames of walking people, always the same."""
    generator = np.random.default_rng(0)
    body = generator.uniform((0, 0), (150, 400), (people, 17, 2))
    center = generator.uniform((200, 100), (1500, 500), (people, 1, 2))
    phase = generator.uniform(0, 6, (people, 17, 2))
    for frame in range(round(minutes * 60 * fps)):
        center = center + generator.normal(0, 1.5, center.shape)
        points = center + body + 20 * np.sin(frame / 8 + phase) + generator.normal(0, 1, body.shape)
        sure = np.clip(generator.normal(0.75, 0.12, (people, 17, 1)), 0.01, 1)
        keypoints = np.concatenate([points, sure], -1).astype(np.float32)
        keypoints[generator.random((people, 17)) < 0.01] = np.nan, np.nan, 0
        boxes = Boxes(np.concatenate([points.min(1), np.ptp(points, axis=1)], 1))
        scores = sure.mean((1, 2)).astype(np.float32)
        yield Poses(keypoints, scores, boxes, COCO17, (1080, 1920), "hour.mp4", np.arange(1, people + 1), frame=frame,
                    time_s=frame / fps)  # fmt: skip


def write(name: str, path: Path, minutes: float, answer: multiprocessing.SimpleQueue[tuple[float, float]]) -> None:
    """Write the frames in a process of its own; tells seconds, and MB of memory at most."""
    begun = time.perf_counter()
    lightpose.write(made(minutes), path, name)
    answer.put((time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measured(name: str, path: Path, minutes: float) -> tuple[float, float]:
    """The same, from here."""
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    process = context.Process(target=write, args=(name, path, minutes, answer))
    process.start()
    found: tuple[float, float] = answer.get()
    process.join()
    return found


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--folder", type=Path, default=Path("formats_benchmark"))
    parser.add_argument("--formats", nargs="+", default=list(FORMATS))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    frames = sum(1 for _ in made(options.minutes))
    making_s = time.perf_counter() - begun
    print(f"{frames} frames; making them takes {making_s:.1f} s, which is taken off")
    print("| format | MB | written, times real time | memory above a tenth, MB | ten seconds read, ms |")
    print("|---|---|---|---|---|")
    for name in options.formats:
        kind = format_named(name)
        path = options.folder / f"hour_{name}{kind.suffix}"
        small_mb = measured(name, options.folder / f"small_{name}{kind.suffix}", options.minutes / 10)[1]
        seconds, most_mb = measured(name, path, options.minutes)
        speed = 60 * options.minutes / max(seconds - making_s, 1e-3)
        part_ms = float("nan")
        if name == "parquet":
            middle = 30 * options.minutes
            times = []
            for _ in range(5):
                begun = time.perf_counter()
                found = lightpose.read(path, start_s=middle, end_s=middle + 10)
                times.append(1000 * (time.perf_counter() - begun))
            if options.minutes >= 1 and len(found) != 300:
                raise SystemExit(f"{len(found)} frames in ten seconds")
            part_ms = min(times)
        size_mb = path.stat().st_size / 1e6
        print(f"| {name} | {size_mb:.1f} | {speed:.0f} | {most_mb - small_mb:.0f} | {part_ms:.0f} |", flush=True)


if __name__ == "__main__":
    main()

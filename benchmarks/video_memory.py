"""Whether memory stays flat over a long video in which people come and go: what is held after so many frames.

    python benchmarks/video_memory.py --frames 20000

Every fourth frame another person appears somewhere else and the last one is gone, so that 20,000 frames have 5,000
people. They are tracked, smoothed with a look ahead, written to poses.jsonl and drawn, as `lightpose predict` does.
Prints how much memory has grown after the first 500 frames, and how many people the tracker holds at the end.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import tyro

from lightpose import Boxes, PoseEstimator
from lightpose.inference.look_ahead import FileSmoother
from lightpose.inference.smooth import Smoother
from lightpose.inference.track import Tracker
from lightpose.inference.video import predict_video
from lightpose.io.video import read_video, suffix_written, video_writer
from lightpose.weights import DEFAULT

HW, FPS, STAY = (360, 640), 30, 4
SETTLED = 500


@dataclass(frozen=True)
class Options:
    """model: bundled weights or a file; the smaller, the sooner it is done. lines: of the table. draw: a video too."""

    model: str = DEFAULT
    frames: int = 20_000
    lines: int = 10
    threads: int = 0
    draw: bool = True


def resident_mb() -> float:
    """Memory that this process holds now, in 10⁶ bytes; Linux only."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024 / 1e6


def write_clip(path: Path, frames: int) -> Path:
    """A video of noise that moves."""
    rough = np.random.default_rng(0).integers(0, 256, (*HW, 3), dtype=np.uint8)
    writer = video_writer(path, HW, FPS)
    for number in range(frames):
        writer.write(np.roll(rough, number, 1), number / FPS)
    writer.close()
    return path


def comers_and_goers() -> Iterator[Boxes]:
    """One person in each frame, each of whom stays for four of them; a place is taken again when its last one is
    forgotten."""
    for number in count():
        place = 5 * (number // STAY) % 12
        left, top = 100 * (place % 6) + number % STAY, 20 + 180 * (place // 6)
        yield Boxes(np.array([[left, top, 40, 100]]), np.array([0.9]))


def main(options: Options) -> None:
    """Measure, and print the table."""
    found: list[tuple[int, float]] = []
    people = comers_and_goers()
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / f"clip{suffix_written()}", options.frames)
        estimator = PoseEstimator(options.model, lambda _: next(people), min_person_score=0.0, threads=options.threads)
        tracker, ahead, calm = Tracker(), FileSmoother(6, 0.3), Smoother()
        results = predict_video(
            read_video(clip),
            estimator,
            Path(folder) / "out",
            draw=options.draw,
            stages=[tracker, ahead, calm],
            progress=lambda done, _: found.append((done, resident_mb())),
        )
    print("frames   MB")
    for place in np.unique(np.linspace(0, len(found) - 1, options.lines).astype(int)):
        print(f"{found[place][0]:6} {found[place][1]:4.0f}")
    settled = next((memory for done, memory in found if done >= SETTLED), found[-1][1])
    tracked, held, calmed = tracker.state(), ahead.state(), calm.state()
    print(f"after the first {SETTLED} frames: {max(memory for _, memory in found[SETTLED:]) - settled:+.1f} MB at most")
    print(
        f"{results.frames} frames, {tracked['last_id']} people came; the tracker holds {len(tracked['ids'])}, "
        f"the smoothers {len(held['held'])} frames and {len(calmed['people'])} people"
    )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))

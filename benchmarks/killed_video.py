"""A video, its run killed many times at random and begun again: are the lines those of an unbroken run, to the bit?

    python benchmarks/killed_video.py clip.mp4 --seconds 8 --kills 20

Once for each kind of smoothing. After each kill, every line but the last must be whole JSON. The drawn video must have
as many frames as that of the unbroken run.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tyro.conf import Positional

from lightpose.io.video import read_video

WAYS = {
    "no smoothing": (),
    "one_euro": ("--smooth", "one_euro"),
    "butterworth and gaps filled": ("--smooth", "butterworth", "--fill", "0.3"),
    "one_euro, detector now and then": ("--smooth", "one_euro", "--detect-every", "auto"),
}


@dataclass(frozen=True)
class Options:
    """clip: a video of people. seconds: of it, from the beginning. kills: for each way. seed: of their moments."""

    clip: Positional[Path]
    seconds: float = 8.0
    kills: int = 20
    seed: int = 0


def command(options: Options, out: Path, way: tuple[str, ...]) -> list[str]:
    """The run."""
    base = [sys.executable, "-m", "lightpose", "predict", str(options.clip), "--to", str(options.seconds)]
    return [*base, "--threads", "1", "--out", str(out), *way]


def whole_lines(out: Path) -> int:
    """How many lines there are; raises ValueError if one but the last is no JSON."""
    lines = (out / "poses.jsonl").read_bytes().split(b"\n") if (out / "poses.jsonl").exists() else [b""]
    for line in lines[:-1]:
        json.loads(line)
    return len(lines) - 1


def kill_and_go_on(options: Options, out: Path, way: tuple[str, ...], moments: list[float]) -> int:
    """Run to the end through all kills; how many of them hit."""
    hits = 0
    for moment in moments:
        process = subprocess.Popen(command(options, out, way), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(moment)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            hits += 1
            whole_lines(out)
    subprocess.run(command(options, out, way), stdout=subprocess.DEVNULL, check=True)
    return hits


def frames_of(out: Path) -> int:
    """Frames of the drawn video."""
    (drawn,) = [path for path in out.iterdir() if path.suffix in (".mp4", ".webm")]
    return sum(1 for _ in read_video(drawn))


def main(options: Options) -> None:
    """Run, and print."""
    generator, failed = np.random.default_rng(options.seed), False
    for name, way in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            whole, broken = Path(folder) / "whole", Path(folder) / "broken"
            start = time.perf_counter()
            subprocess.run(command(options, whole, way), stdout=subprocess.DEVNULL, check=True)
            seconds = time.perf_counter() - start
            # a start takes a second or more, in which nothing is done yet
            moments = generator.uniform(0.3, 1.5 + seconds / 4, options.kills).tolist()
            hits = kill_and_go_on(options, broken, way, moments)
            same = (whole / "poses.jsonl").read_bytes() == (broken / "poses.jsonl").read_bytes()
            frames = frames_of(whole), frames_of(broken)
            failed |= not same or frames[0] != frames[1]
            print(f"{name}: {hits} kills, lines {'the same' if same else 'DIFFER'}, drawn frames {frames}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))

"""A folder of images, its run killed many times at random and resumed: are the results those of an unbroken run?

python benchmarks/killed_folder.py --images 2000 --kills 10

Prints when each kill came, how long both ways took, whether every file is equal to the byte, and the peak memory of a
run over a tenth of the images and over all of them.
"""

import filecmp
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from lightpose.bench.end_to_end import scene
from lightpose.io.images import encode_image

RUN = (
    "import resource, sys; from lightpose.cli import main\n"
    "try: main(sys.argv[1:])\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
)


@dataclass(frozen=True)
class Options:
    """images, people: how many, and in each. kills: at random moments. seed: of those moments."""

    images: int = 2000
    people: int = 2
    kills: int = 10
    seed: int = 0


def command(folder: Path, source: str, out: str) -> list[str]:
    """The run of `lightpose predict` that prints its peak memory at the end."""
    boxes = ["--boxes", str(folder / "boxes.json"), "--out", str(folder / out)]
    return [sys.executable, "-c", RUN, "predict", str(folder / source), *boxes]


def make(folder: Path, options: Options) -> None:
    """All images in `all`, a tenth of them in `tenth`, and one file of boxes."""
    import json

    image, boxes = scene(options.people)
    rows = []
    for number in range(options.images):
        shifted = np.roll(image, 3 * number, axis=1)[::2, ::2]
        for part in ("all", "tenth")[: 1 + (number < options.images // 10)]:
            (folder / part).mkdir(exist_ok=True)
            (folder / part / f"{number:06}.jpg").write_bytes(encode_image(shifted))
        rows += [{"image_id": number, "bbox": (box / 2).tolist()} for box in boxes.xywh]
    (folder / "boxes.json").write_text(json.dumps(rows))


def unbroken(folder: Path, source: str, out: str) -> tuple[float, float]:
    """Seconds and peak memory in 10⁶ bytes of a run that nobody disturbs."""
    start = time.perf_counter()
    done = subprocess.run(command(folder, source, out), capture_output=True, text=True, check=True)
    return time.perf_counter() - start, int(done.stderr.split()[-1]) * 1024 / 1e6


def killed(folder: Path, moments: np.ndarray) -> float:
    """Seconds of a run that is killed after each of those times and begun again; says what was done by then."""
    start = time.perf_counter()
    for moment in moments:
        process = subprocess.Popen(command(folder, "all", "killed"), stdout=subprocess.DEVNULL)
        try:
            process.wait(moment)
            print("  ended before it was killed")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            partial = folder / "killed/.lightpose.partial.jsonl"
            lines = partial.read_bytes().count(b"\n") - 1 if partial.exists() else 0
            print(f"  killed after {moment:.2f} s, {max(lines, 0)} images done")
    subprocess.run(command(folder, "all", "killed"), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def different(one: Path, other: Path) -> list[str]:
    """Names of files that are in one folder alone or differ, but for hidden ones."""
    names = {path.name for folder in (one, other) for path in folder.iterdir() if not path.name.startswith(".")}
    _, wrong, missing = filecmp.cmpfiles(one, other, sorted(names), shallow=False)
    return wrong + missing


def main(options: Options) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, options)
        _, small = unbroken(folder, "tenth", "out_tenth")
        seconds, large = unbroken(folder, "all", "whole")
        moments = np.random.default_rng(options.seed).uniform(
            0.3, 1 + 1.2 * seconds / (options.kills + 1), options.kills
        )
        total = killed(folder, moments)
        wrong = different(folder / "whole", folder / "killed")
        print(f"{options.images} images: {seconds:.1f} s unbroken, {total:.1f} s with {options.kills} kills")
        print(f"files that differ: {', '.join(wrong) or 'none'}")
        print(
            f"half-written files left: {sum(path.name.endswith('.partial') for path in (folder / 'killed').iterdir())}"
        )
        print(f"peak memory: {small:.0f} MB over {options.images // 10} images, {large:.0f} MB over all")
        sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(tyro.cli(Options))

"""Whether memory stays flat over a long folder of pictures: a table of what is held after so many, and a picture of it.

python benchmarks/folder_memory.py --pictures 1000 --plot memory.png

Every picture is 1280×720 with four people, drawn and written as by `lightpose predict`. What a picture leaves behind
are its keypoints, which are written at the end. The plot needs matplotlib.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from lightpose import PoseEstimator
from lightpose.bench.end_to_end import scene
from lightpose.bench.memory import peak_of_process_mb
from lightpose.inference.folder import predict_images
from lightpose.io.files import write_aside
from lightpose.io.images import encode_image
from lightpose.io.sources import find_images
from lightpose.weights import DEFAULT


@dataclass(frozen=True)
class Options:
    """model: bundled weights or a file; the smaller, the sooner it is done. lines: of the table. plot: .png, .svg…"""

    model: str = DEFAULT
    pictures: int = 1000
    people: int = 4
    threads: int = 0
    lines: int = 10
    plot: Path | None = None


def resident_mb() -> float:
    """Memory that this process holds now, in 10⁶ bytes; Linux only."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024 / 1e6


def measure(options: Options) -> np.ndarray:
    """(pictures, 3): pictures done, memory then, and seconds since the start."""
    image, boxes = scene(options.people)
    estimator = PoseEstimator(options.model, lambda _: boxes, threads=options.threads)
    found: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        content = encode_image(image)
        for number in range(options.pictures):
            (source / f"{number:06}.jpg").write_bytes(content)
        pictures = find_images([str(source)])
        start = time.perf_counter()
        predict_images(
            pictures,
            estimator,
            Path(folder) / "out",
            progress=lambda done: found.append((done, resident_mb(), time.perf_counter() - start)),
        )
    return np.array(found)


def growth_kb(found: np.ndarray) -> float:
    """Memory that each picture of the second half left behind, by a straight line through it, in 10³ bytes."""
    later = found[len(found) // 2 :]
    return float(1000 * np.polyfit(later[:, 0], later[:, 1], 1)[0]) if len(later) > 1 else 0.0


def plot(found: np.ndarray, path: Path) -> None:
    """Memory over pictures done."""
    import io

    from lightpose.evaluate.plot import check_plot

    figure = check_plot(path)(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(found[:, 0], found[:, 1], color="#c8553d")
    axes.set(xlabel="pictures done", ylabel="resident memory, MB", ylim=(0, 1.2 * found[:, 1].max()))
    axes.grid(alpha=0.25)
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.lower().removeprefix("."), dpi=150)
    write_aside(path, content.getvalue())


def main(options: Options) -> None:
    """Measure, and print the table."""
    found = measure(options)
    print("pictures   MB  s")
    for place in np.unique(np.linspace(0, len(found) - 1, options.lines).astype(int)):
        done, memory, seconds = found[place]
        print(f"{done:8.0f} {memory:4.0f}  {seconds:.1f}")
    print(
        f"peak {peak_of_process_mb():.0f} MB; {growth_kb(found):+.1f} kB a picture over the second half, of which the"
    )
    print("results that are written at the end are a part")
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main(tyro.cli(Options))

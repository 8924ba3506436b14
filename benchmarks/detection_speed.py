"""How long finding people takes against their poses, and what pictures that are large or full cost.

nice python benchmarks/detection_speed.py --threads 1 2

Detector and pose network run interleaved, so that other load falls on both; each time is the median of several repeats.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import tyro

from lightpose import Boxes, PoseEstimator, read_image
from lightpose.ops.geometry import cut_crops
from lightpose.types import ImageArray
from lightpose.weights import DEFAULT

PHOTO = Path(__file__).parents[1] / "examples" / "photos" / "astronaut.jpg"


@dataclass(frozen=True)
class Options:
    """detector, model: builtin and bundled, or files. threads: of the engine, each in its turn. persons: in a batch of
    the pose network. crowd: people in one picture. large_hw: size of a large picture.
    """

    detector: str = "builtin"
    model: str = DEFAULT
    picture: Path = PHOTO
    threads: tuple[int, ...] = (1, 2)
    persons: int = 8
    repeats: int = 25
    crowd: int = 200
    large_hw: tuple[int, int] = (8000, 12000)


def interleaved(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each piece of work, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: median(taken) for name, taken in times.items()}


def peak_mib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(estimator: PoseEstimator, image: ImageArray, options: Options, threads: int) -> None:
    """Print milliseconds of the detector and of the pose network, and how many persons' poses the detector is worth."""
    spec = estimator.runtime.spec
    boxes = np.tile(np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32), (options.persons, 1))
    crops, _ = cut_crops(image, boxes, spec.input_hw, spec.geometry, spec.padding)
    works: dict[str, Callable[[], object]] = {
        "detector": lambda: estimator.find_people(image),
        "poses": lambda: estimator.of_crops("detectors").heatmaps(crops),
        "whole": lambda: estimator.predict(image, boxes),
    }
    taken = interleaved(works, options.repeats)
    a_person, with_crop = taken["poses"] / options.persons, taken["whole"] / options.persons
    print(
        f"threads {threads}: detector {taken['detector']:.1f} ms a picture; pose network {a_person:.1f} ms a person, "
        f"{with_crop:.1f} with crop and decoding; the detector is worth {taken['detector'] / a_person:.2f} persons"
    )


def bounds(estimator: PoseEstimator, options: Options) -> None:
    """Print time and memory of pictures that are small, full and large, by growing need of memory."""
    height, width = 1080, 1920
    generator = np.random.default_rng(0)
    corner = generator.uniform(0, 0.8, (options.crowd, 2)) * (width, height)
    crowd = Boxes(np.concatenate([corner, np.full((options.crowd, 2), 150)], axis=1))
    large = f"{options.large_hw[1]}x{options.large_hw[0]}"
    cases: tuple[tuple[str, Callable[[], ImageArray], Boxes | None], ...] = (
        ("1x1 picture", lambda: np.zeros((1, 1, 3), np.uint8), None),
        ("black 1920x1080 picture", lambda: np.zeros((height, width, 3), np.uint8), None),
        (f"{options.crowd} boxes in a 1920x1080 picture", lambda: np.full((height, width, 3), 90, np.uint8), crowd),
        (f"{large} picture", lambda: np.full((*options.large_hw, 3), 90, np.uint8), None),
    )
    for name, make, boxes in cases:
        image = make()
        before, start = peak_mib(), time.perf_counter()
        people = len(estimator.predict(image, boxes))
        print(
            f"{name} ({image.nbytes / 2**20:.0f} MiB): {1000 * (time.perf_counter() - start):.0f} ms, {people} people, "
            f"{peak_mib() - before:.0f} MiB more at the peak"
        )


def main(options: Options) -> None:
    """Compare for each number of threads, then print the bounds with the last."""
    image = read_image(options.picture)
    for threads in options.threads:
        estimator = PoseEstimator(options.model, options.detector, threads=threads)
        compare(estimator, image, options, threads)
    bounds(estimator, options)


if __name__ == "__main__":
    main(tyro.cli(Options))

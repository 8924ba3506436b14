"""Bulk runs measured: images a second beside `lightpose predict`, what a listing costs, and whether memory stays flat.

python benchmarks/bulk.py rate --images 300
python benchmarks/bulk.py listing --names 1000000
python benchmarks/bulk.py memory --images 3000

rate: the same folder by `lightpose predict --no-draw` and by `lightpose bulk`, each a process of its own with one
thread, in turns; and with two workers where there are two cores. The start of the processes, up to the first image, is
told apart. listing: seconds, CPU seconds and peak memory of the manifest of so many empty files, and of the comparison
when a run goes on. memory: of the driver and of its worker, over images of 0.1 to 40 megapixels.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from lightpose.bench.end_to_end import scene
from lightpose.io.images import encode_image
from lightpose.scale.manifest import Manifest, write_manifest
from lightpose.scale.source import SourceOptions, open_source
from lightpose.scale.store import FolderStore


@dataclass(frozen=True)
class Options:
    """what: to measure. images: of rate and memory. names: of listing. rounds: of rate. model: bundled, or a file.
    ray: the rate with Ray too."""

    what: tyro.conf.Positional[Literal["rate", "listing", "memory"]]
    images: int = 300
    names: int = 1_000_000
    rounds: int = 2
    shard: int = 1000
    model: str = "lpn50"
    ray: bool = False


def make_images(folder: Path, count: int) -> None:
    """So many JPEGs of 1280 x 720 with two people, each shifted by some pixels."""
    folder.mkdir()
    image, _ = scene(2)
    for number in range(count):
        (folder / f"{number:06}.jpg").write_bytes(encode_image(np.roll(image, 3 * number, axis=1)))


def timed(words: list[str]) -> tuple[float, float]:
    """Seconds and CPU seconds of a command, its processes included."""
    begun_s, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "lightpose", *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begun_s, cpu_s


def rate(folder: Path, options: Options) -> None:
    """Images a second: over a tenth of the images and over all, so that the difference leaves the start out."""
    make_images(folder / "all", options.images)
    make_images(folder / "tenth", options.images // 10)
    ways = {"predict": ["predict", "--no-draw", "--threads", "1"]}
    for workers in range(1, 1 + min(2, len(os.sched_getaffinity(0)))):
        ways[f"bulk, {workers} workers"] = ["bulk", "--workers", str(workers), "--threads", "1"]
        if options.ray:
            ways[f"Ray, {workers} actors"] = ["bulk", "--ray", "local", "--workers", str(workers), "--threads", "1"]
    for round_number in range(options.rounds):
        for name, words in ways.items():
            found = []
            for part in ("tenth", "all"):
                out = folder / f"{name.replace(' ', '')}{part}{round_number}"
                shard = ["--shard", str(options.shard)] if words[0] == "bulk" else []
                found.append(
                    timed(
                        [words[0], str(folder / part), "--out", str(out), *words[1:], *shard, "--model", options.model]
                    )
                )
            images = options.images - options.images // 10
            wall_s, cpu_s = (found[1][place] - found[0][place] for place in (0, 1))
            print(
                f"{name:16} {images / wall_s:6.2f} images/s  {1000 * cpu_s / images:6.1f} CPU ms an image  "
                f"{found[0][0]:5.1f} s for the first {options.images // 10}",
                flush=True,
            )


def listing(folder: Path, options: Options) -> None:
    """What the manifest of many names costs."""
    for number in range(options.names):
        if number % 1000 == 0:
            (folder / f"in/{number // 1000:05}").mkdir(parents=True)
        (folder / f"in/{number // 1000:05}/image_{number:08}.jpg").touch()
    store, source = FolderStore(folder / "out"), open_source([str(folder / "in")], SourceOptions())
    head = None
    for what in ("manifest", "comparison"):
        begun_s, cpu_s = time.perf_counter(), time.process_time()
        if head is None:
            head = write_manifest(store, source.items(), {}, {}, options.shard)
        else:
            Manifest(store, head).check_inputs(source.items())
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        wall_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
        print(f"{what:10} {head.items:,} names: {wall_s:.1f} s, {cpu_s:.1f} CPU s, peak {peak_mb:.0f} MB", flush=True)


def memory(folder: Path, options: Options) -> None:
    """Memory of driver and worker, twenty times on the way."""
    (folder / "in").mkdir()
    generator, image = np.random.default_rng(0), scene(2)[0]
    sizes = [(270, 480), (540, 960), (1080, 1920), (2160, 3840), (5400, 7200)]
    shares = [0.5, 0.3, 0.15, 0.04, 0.01]
    contents = [encode_image(np.resize(image, (*size, 3)), ".jpg") for size in sizes]
    for number, kind in enumerate(generator.choice(len(sizes), options.images, p=shares)):
        (folder / f"in/{number:06}.jpg").write_bytes(contents[kind])
    words = ["bulk", folder / "in", "--out", folder / "out", "--workers", "1", "--threads", "1", "--shard", "100"]
    words += ["--model", options.model, "--detector", "whole"]
    driver = subprocess.Popen([sys.executable, "-m", "lightpose", *map(str, words)], stdout=subprocess.DEVNULL)
    told = -1
    while driver.poll() is None:
        done = 100 * len(list((folder / "out").glob("part-*")))
        if done >= told + options.images // 20:
            told = done
            workers = [resident_mb(pid) for pid in children(driver.pid)]
            print(f"{done:6} images: driver {resident_mb(driver.pid):.0f} MB, worker {max(workers, default=0):.0f} MB")
        time.sleep(0.2)


def resident_mb(pid: int) -> float:
    """Memory that a process holds, in 10⁶ bytes; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS:")), 0.0)


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*"))
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def main(options: Options) -> None:
    """Measure, and print."""
    folder = Path(tempfile.mkdtemp(prefix="bulk"))
    try:
        {"rate": rate, "listing": listing, "memory": memory}[options.what](folder, options)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(tyro.cli(Options))

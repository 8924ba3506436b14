"""A bulk run killed twenty times at random and begun again each time: are its parts those of an unbroken run?

python benchmarks/killed_bulk.py --images 2000 --kills 20 --engine local
python benchmarks/killed_bulk.py --images 2000 --kills 20 --engine ray

One image in a hundred is cut short. Each kill is a SIGKILL of the driver, of one process that it started, or of all of
them. Prints every kill, whether the parts are equal to the byte, and what `lightpose bulk verify` finds.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from lightpose.bench.end_to_end import scene
from lightpose.io.images import encode_image
from lightpose.scale.check import verify

BROKEN_EVERY = 100


@dataclass(frozen=True)
class Options:
    """images, kills: how many. engine: what does the work. workers: of it. model, detector: as for `lightpose bulk`."""

    images: int = 2000
    kills: int = 20
    engine: Literal["local", "ray"] = "local"
    workers: int = 2
    shard: int = 50
    model: str = "lpn50"
    detector: str = "whole"
    seed: int = 0


def make(folder: Path, count: int) -> None:
    """Images of 320 x 180, each another; some cut short."""
    folder.mkdir()
    image = scene(2)[0][::4, ::4]
    for number in range(count):
        content = encode_image(np.roll(image, 3 * number, axis=1))
        cut = number % BROKEN_EVERY == BROKEN_EVERY // 2
        (folder / f"{number:06}.jpg").write_bytes(content[: len(content) // 2] if cut else content)


def command(folder: Path, out: Path, options: Options) -> list[str]:
    """The run."""
    words = [sys.executable, "-m", "lightpose", "bulk", str(folder), "--out", str(out), "--shard", str(options.shard)]
    words += ["--workers", str(options.workers), "--threads", "1"]
    words += ["--model", options.model, "--detector", options.detector]
    return words + (["--ray", "local"] if options.engine == "ray" else [])


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").glob("*"):
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def kill(what: str, driver: "subprocess.Popen[bytes]", chance: random.Random) -> str:
    """Kill the driver, one of its processes, or all of them; what was killed."""
    below = descendants(driver.pid)
    if what == "driver" or not below:
        victims, what = [driver.pid], "driver"
    elif what == "worker":
        victims = [chance.choice(below)]
    else:
        victims = [driver.pid, *below]
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return what


def parts_of(out: Path) -> dict[str, bytes]:
    """The bytes of each part."""
    return {path.name: path.read_bytes() for path in out.glob("part-*.parquet")}


def killed(folder: Path, out: Path, options: Options) -> None:
    """Run until all parts are there, killed on the way: each time after one to five more parts."""
    chance, kills = random.Random(options.seed), 0
    driver = None
    while driver is None or kills < options.kills:
        if driver is None or driver.poll() is not None:
            driver = subprocess.Popen(command(folder, out, options), stdout=subprocess.DEVNULL)
        there, wanted = len(parts_of(out)), chance.randint(0, 2)
        until_s = time.monotonic() + chance.uniform(0, 5)
        while driver.poll() is None and (len(parts_of(out)) < there + wanted or time.monotonic() < until_s):
            time.sleep(0.02)
        if driver.poll() is not None:
            if len(parts_of(out)) * options.shard >= options.images:
                print("done before the last kill")
                return
            continue
        kills += 1
        what = kill(chance.choice(("driver", "worker", "group")), driver, chance)
        print(f"  kill {kills}: {what}, with {len(parts_of(out))} parts", flush=True)
        time.sleep(0.2)
    assert driver is not None
    driver.wait()
    while subprocess.run(command(folder, out, options), stdout=subprocess.DEVNULL, check=False).returncode > 1:
        print("  begun again")


def main(options: Options) -> None:
    """Measure, and print."""
    folder = Path(tempfile.mkdtemp(prefix="killed"))
    try:
        make(folder / "in", options.images)
        begun_s = time.perf_counter()
        subprocess.run(command(folder / "in", folder / "whole", options), stdout=subprocess.DEVNULL, check=False)
        unbroken_s = time.perf_counter() - begun_s
        killed(folder / "in", folder / "killed", options)
        expected, found = parts_of(folder / "whole"), parts_of(folder / "killed")
        checked = verify(str(folder / "killed"))
        report = json.loads((folder / "killed/_report.json").read_text())
        killed_s = time.perf_counter() - begun_s - unbroken_s
        print(f"{options.images} images, {options.engine}: {unbroken_s:.0f} s unbroken, {killed_s:.0f} s killed")
        print(f"parts: {len(found)}; equal to the byte: {found == expected}; images: {checked.images}, each once")
        print(f"faults: {checked.count}; failures: {report['failures']}; starts: {report['sessions']}")
        print(f"half-written files left: {len(list((folder / 'killed').glob('.*partial*')))}")
        sys.exit(0 if found == expected and not checked.count else 1)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(tyro.cli(Options))

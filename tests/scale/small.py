"""A bulk run that takes no time: tiny networks, whose answers are by the colours of small images; and bad workers."""

import os
import signal
import time
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow.parquet as pq

from lightpose.io.images import encode_image
from lightpose.scale.settings import Network, Settings
from lightpose.scale.source import Item
from lightpose.scale.worker import ShardWorker
from tests.detect import graphs

MARKS = {b"KILLS": signal.SIGKILL, b"SEGV!": signal.SIGSEGV}


def tiny_network(folder: Path) -> Network:
    """A detector that always finds two people, and a network that finds three joints by colour."""
    folder.mkdir(parents=True, exist_ok=True)
    model, detector = graphs.pose_network(folder / "pose.onnx"), graphs.ours(folder / "boxes.onnx")
    return Network(str(model), str(detector))


def tiny_settings(folder: Path, **more: object) -> Settings:
    """Settings with those networks."""
    return Settings(tiny_network(folder), **{"shard": 10, **more})


def draw_images(folder: Path, count: int, broken: int = 0) -> Path:
    """Small images of noise, each another; so many of them are cut short."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for number in range(count):
        size = generator.integers(40, 90, 2)
        content = encode_image(generator.integers(0, 256, (*size, 3), np.uint8), ".png")
        cut = number % (count // broken) == 3 if broken else False
        (folder / f"{number:05}.png").write_bytes(content[: len(content) // 2] if cut else content)
    return folder


def rows_of(out: Path) -> list[dict[str, object]]:
    """All rows, in the order of the parts."""
    return [row for path in sorted(out.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def parts_of(out: Path) -> dict[str, bytes]:
    """The bytes of each part."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("part-*.parquet"))}


class Deadly(ShardWorker):
    """Ends by a signal at an image whose file ends with a mark, as a decoder that crashes would have it."""

    def read(self, item: Item) -> bytes:
        content = super().read(item)
        for mark, number in MARKS.items():
            if content.endswith(mark):
                os.kill(os.getpid(), number)
                time.sleep(60)
        return content


class Stillborn(ShardWorker):
    """Ends before it has opened anything, as for want of memory."""

    def open(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Hanging(ShardWorker):
    """Never comes back from an image whose file ends with a mark."""

    def read(self, item: Item) -> bytes:
        content = super().read(item)
        if content.endswith(b"HANGS"):
            time.sleep(3600)
        return content


class Raising(ShardWorker):
    """A library raises what nobody has foreseen at an image whose file ends with a mark."""

    def read(self, item: Item) -> bytes:
        content = super().read(item)
        if content.endswith(b"RAISE"):
            raise RuntimeError("what nobody has foreseen")
        return content


def mark(path: Path, what: bytes) -> str:
    """Put a mark at the end of an image's file, which is still one; its name."""
    with path.open("ab") as file:
        file.write(what)
    return path.name

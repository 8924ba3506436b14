"""Sinks write results: each takes the frames with their poses. Your own is any class with `write` and `close`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from lightpose.errors import ImageError
from lightpose.io.files import append_whole, write_aside
from lightpose.io.images import encode_image
from lightpose.io.places import check_own
from lightpose.results import Poses
from lightpose.types import Frame

__all__ = ["Drawings", "JsonLines", "Sink", "drawing_name"]


class Sink(Protocol):
    """Takes the frames of a stream in order.

        for frame, poses in estimator.stream(frames):
            sink.write(frame, poses)
        sink.close()

    A sink appends in `write`, or replaces a whole file in `close`. It never keeps all results in memory. Call `close`
    when the stream has ended without an error. If a run is killed before that, the results appended so far stay.
    """

    def write(self, frame: Frame, poses: Poses) -> None:
        """Take one frame and the people in it."""

    def close(self) -> None:
        """Finish the output."""


class Drawings:
    """Writes images with skeletons into a folder, under the names of their frames.

    They do not wait for the disk, which would take longer than the drawing: a power cut may lose the last ones.
    """

    def __init__(self, out: Path, threshold: float = 0.2) -> None:
        self._out, self._threshold = out, threshold

    def write(self, frame: Frame, poses: Poses) -> None:
        """Write the drawing in the format that the frame's name has. If that format cannot be written, write a PNG and
        append .png to the name."""
        path = self._out / drawing_name(Path(frame.name))
        drawn = poses.plot(frame.image, self._threshold)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            content = encode_image(drawn, path.suffix)
        except ImageError:  # too large for it
            path, content = path.with_name(f"{path.name}.png"), encode_image(drawn, ".png")
        write_aside(path, content, sync=False)

    def close(self) -> None:
        """Do nothing; every drawing is already written."""


def drawing_name(name: Path) -> Path:
    """What the drawing of a frame is called: as the frame, with .png appended if that format cannot be written."""
    return name if _can_write(name.suffix.lower()) else name.with_name(f"{name.name}.png")


@cache
def _can_write(suffix: str) -> bool:
    try:
        return bool(encode_image(np.zeros((1, 1, 3), np.uint8), suffix))
    except ImageError:
        return False


class JsonLines:
    """Writes one line of JSON for each frame: `Poses.to_dict` with the frame's index and time.

    path: a new file; an old one is replaced. keep: how many bytes of an old one stay, after which lines are appended.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        check_own(path)
        self._path = path
        self._file = path.open("rb+" if keep else "wb", buffering=0)
        self._file.truncate(keep)
        self._file.seek(keep)
        self.size = keep

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append a line. It is in the file when this returns; of a disk that is full, OSError is raised, and no part of
        the line stays."""
        about = {"index": frame.index, "time_s": frame.time_s}
        line = json.dumps({**about, **poses.to_dict()}, ensure_ascii=False).encode() + b"\n"
        append_whole(self._file, line, self.size, self._path)
        self.size += len(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

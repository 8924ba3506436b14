"""MOTChallenge's text of boxes (motchallenge.net/instructions): frame from 1, id, left, top, width, height, score."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import Options, made, real, text_of, whole
from lightpose.results import Poses
from lightpose.skeletons import COCO17
from lightpose.types import ImageArray

__all__ = ["MotChallengeWriter", "read_mot_challenge"]


class MotChallengeWriter:
    """A line for each person of each frame; the id is -1 where people were not tracked."""

    def __init__(self, file: IO[bytes], _options: Options) -> None:
        self._file, self._count = file, 0

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Append the lines of a frame."""
        frame = (self._count if poses.frame is None else poses.frame) + 1
        ids = [-1] * len(poses) if poses.ids is None else poses.ids.tolist()
        lines = (
            f"{frame},{person},{left:.2f},{top:.2f},{width:.2f},{height:.2f},{score:.4f},-1,-1,-1\n"
            for person, (left, top, width, height), score in zip(
                ids, poses.boxes.xywh.tolist(), poses.scores.tolist(), strict=True
            )
        )
        self._file.write("".join(lines).encode())
        self._count += 1

    def close(self) -> None:
        """All is written."""


def read_mot_challenge(path: Path, options: Options) -> Iterator[Poses]:
    """The frames that have people, by number; joints are missing."""
    found: dict[int, list[tuple[int, list[float]]]] = {}
    for number, row in enumerate(csv.reader(text_of(path).splitlines()), start=1):
        where = f"{path}:{number}"
        if not row:
            continue
        if not 6 <= len(row) <= 10:
            raise DataError(
                f"{where}: {len(row)} fields; a line is frame, id, left, top, width, height, score, -1, -1, -1"
            )
        frame, person = whole(row[0], f"{where}: frame"), whole(row[1], f"{where}: id")
        if frame < 1:
            raise DataError(f"{where}: frame {frame}; MOTChallenge counts frames from 1, so add 1 to each")
        values = [real(each, where) for each in [*row[2:7], "1"][:5]]
        people = found.setdefault(frame - 1, [])
        if person >= 0 and any(each == person for each, _ in people):
            raise DataError(f"{where}: id {person} is twice in frame {frame}; leave one out")
        people.append((person, values))
    for frame in sorted(found):
        ids = np.array([person for person, _ in found[frame]])
        numbers = np.array([each for _, each in found[frame]])
        nowhere = np.full((len(ids), len(COCO17), 3), np.nan)
        yield made(
            nowhere, COCO17, boxes=numbers[:, :4], scores=numbers[:, 4], name=path.stem, frame=frame,
            time_s=options.time_s(frame), ids=None if (ids < 0).any() else ids, image_hw=options.image_hw,
        )  # fmt: skip

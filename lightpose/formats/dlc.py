"""DeepLabCut's CSV, of one animal or person (three rows of names) or of several (four)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import Options, made, matching, real, text_of, whole
from lightpose.results import Poses, Stack, Tracks
from lightpose.types import ImageArray

__all__ = ["DlcWriter", "read_dlc"]


class DlcWriter:
    """One row a frame; people side by side, named person1, person2, … by their ids. One person alone has no name.

    Keeps the frames: who is in the file is told before the first of them.
    """

    def __init__(self, file: IO[bytes], _options: Options) -> None:
        self._file = file
        self._stack = Stack()

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Take a frame."""
        self._stack.add(poses)

    def close(self) -> None:
        """Write it all."""
        tracks = Tracks(**self._stack.arrays())
        joints, people = tracks.skeleton.joints, [f"person{each}" for each in tracks.ids.tolist()] or ["person1"]
        columns = [(person, joint, what) for person in people for joint in joints for what in ("x", "y", "likelihood")]
        text = io.TextIOWrapper(self._file, encoding="utf-8", newline="", write_through=True)
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["scorer"] + ["lightpose"] * len(columns))
        if len(people) > 1 or tracks.ids.tolist() != [1]:
            table.writerow(["individuals", *(person for person, _, _ in columns)])
        table.writerow(["bodyparts", *(joint for _, joint, _ in columns)])
        table.writerow(["coords", *(what for _, _, what in columns)])
        values = tracks.keypoints.reshape(len(tracks), -1)
        for frame, row in zip(tracks.frame.tolist(), values, strict=True):
            fields = ("" if value != value else f"{value:.4f}" for value in row.astype(np.float64).tolist())
            table.writerow([frame, *(fields if len(row) else [""] * len(columns))])
        text.detach()


def read_dlc(path: Path, options: Options) -> Iterator[Poses]:
    """The frames of a DeepLabCut file. People are numbered as their names end, or else from 1 on."""
    rows = list(csv.reader(io.StringIO(text_of(path))))
    heads = {row[0]: row[1:] for row in rows[:4] if row and row[0] in ("scorer", "individuals", "bodyparts", "coords")}
    if not {"scorer", "bodyparts", "coords"} <= set(heads) or len({len(row) for row in heads.values()}) > 1:
        raise DataError(
            f"{path} is no file of DeepLabCut, which begins with scorer, bodyparts and coords of one length"
        )
    parts, coords = heads["bodyparts"], heads["coords"]
    people = heads.get("individuals", ["person1"] * len(parts))
    if len(coords) % 3 or coords != ["x", "y", "likelihood"] * (len(coords) // 3):
        raise DataError(f"{path}: coords must be x, y, likelihood for each bodypart")
    names = list(dict.fromkeys(people[::3]))
    joints = tuple(dict.fromkeys(parts[::3]))
    if [*zip(people[::3], parts[::3], strict=True)] != [(person, joint) for person in names for joint in joints]:
        raise DataError(f"{path}: each individual must have the same bodyparts, once and in the same order")
    ends = [re.search(r"(\d+)$", name) for name in names]
    ids = [int(end[1]) for end in ends if end]
    ids = ids if len(set(ids)) == len(names) else list(range(1, len(names) + 1))
    skeleton, last = matching(joints), -1
    for number, row in enumerate(rows[len(heads) :], start=len(heads) + 1):
        where = f"{path}:{number}"
        if not row:
            continue
        if len(row) != len(parts) + 1:
            raise DataError(f"{where}: {len(row)} fields and {len(parts) + 1} columns; correct the row")
        digits = re.search(r"(\d+)(?:\.\w+)?$", row[0])
        frame = whole(digits[1] if digits else row[0], f"{where}: frame")
        if frame <= last:
            raise DataError(f"{where}: frame {frame} comes after frame {last}; put the rows in order")
        last = frame
        values = np.array([real(each, where, True) for each in row[1:]]).reshape(len(names), len(joints), 3)
        here = np.isfinite(values[..., 2]).any(1) | np.isfinite(values[..., :2]).any((1, 2))
        yield made(
            values[here], skeleton, name=path.stem, frame=frame, time_s=options.time_s(frame),
            ids=np.array(ids, np.int64)[here], image_hw=options.image_hw,
        )  # fmt: skip

"""JSON lines of `lightpose predict`, a line for each frame, and its poses.json of images."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from lightpose.errors import DataError
from lightpose.formats.base import Options, made, matching, real, state_name, whole
from lightpose.io.files import read_json
from lightpose.results import Poses
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import ImageArray

__all__ = ["JsonlWriter", "read_jsonl", "read_poses_json"]

NOWHERE = (math.nan, math.nan, math.nan)


class JsonlWriter:
    """A line for each frame: `Poses.to_dict` with the frame's number and time."""

    def __init__(self, file: IO[bytes], _options: Options) -> None:
        self._file, self._count = file, 0

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Append a line."""
        about = {"index": self._count if poses.frame is None else poses.frame, "time_s": poses.time_s}
        row = {**about, **poses.to_dict()}
        if not len(poses):
            row["joints"] = list(poses.skeleton.joints)
        self._file.write(json.dumps(row, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
        self._count += 1

    def close(self) -> None:
        """Nothing is left."""


def read_jsonl(path: Path, options: Options) -> Iterator[Poses]:
    """The frames of poses.jsonl; a last line that was cut off by a kill is passed over."""
    skeleton: Skeleton | None = None
    waiting: list[tuple[int, dict[str, Any]]] = []  # frames before anybody tells the joints
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                if not line.endswith(b"\n"):
                    break
                raise DataError(f"{path}:{number}: this line is no JSON; remove it") from error
            skeleton = skeleton or _skeleton(row, f"{path}:{number}")
            waiting.append((number, row))
            if skeleton is not None:
                yield from (_poses(each, skeleton, f"{path}:{at}", options, at - 1) for at, each in waiting)
                waiting = []
    for at, each in waiting:
        yield _poses(each, COCO17, f"{path}:{at}", options, at - 1)


def read_poses_json(path: Path, options: Options) -> Iterator[Poses]:
    """The images of poses.json."""
    document = read_json(path)
    joints = document.get("joints")
    skeleton = matching(tuple(joints)) if isinstance(joints, list) else None
    for number, row in enumerate(document["images"]):
        skeleton = skeleton or _skeleton(row, f"{path}: image {number}")
        if skeleton is not None:
            yield _poses(row, skeleton, f"{path}: image {number}", options, number)


def _skeleton(row: Any, where: str) -> Skeleton | None:
    """The joints that a row names; None if nobody is in it."""
    try:
        names = row["joints"] if "joints" in row else [*row["people"][0]["keypoints"]] if row["people"] else None
        return None if names is None else matching(tuple(map(str, names)))
    except (LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: this is no line of lightpose's poses ({type(error).__name__}: {error})") from error


def _poses(row: Mapping[str, Any], skeleton: Skeleton, where: str, options: Options, number: int) -> Poses:
    try:
        people = row["people"]
        ids = [whole(person["id"], f"{where}: id") for person in people if "id" in person]
        states = [state_name(person["state"], where) for person in people if "state" in person]
        joints = [_joints(person["keypoints"], skeleton, where) for person in people]
        raws = [
            [NOWHERE] * len(skeleton)
            if person.get("raw_keypoints") is None
            else _joints(person["raw_keypoints"], skeleton, where)
            for person in people
        ]
        has_raw = any("raw_keypoints" in person for person in people)
        if 0 < len(ids) < len(people):
            raise DataError(f"{where}: only some people have an id; give one to each")
        frame = whole(row.get("index", number), f"{where}: index")
        time_s = None if row.get("time_s") is None else real(row["time_s"], f"{where}: time_s")
        width, height = row.get("width"), row.get("height")
        return made(
            np.array(joints),
            skeleton,
            boxes=np.array([[real(v, where) for v in person["box"]] for person in people]).reshape(-1, 4),
            scores=np.array([real(person["score"], where) for person in people]),
            box_scores=np.array([real(person["box_score"], where) for person in people]),
            image_hw=options.image_hw if width is None or height is None else (int(height), int(width)),
            name=str(row.get("image", "")),
            ids=np.array(ids, np.int64) if ids or (not people and time_s is not None) else None,
            states=np.array(states, np.str_) if people and len(states) == len(people) else None,
            raw_keypoints=np.array(raws, np.float32).reshape(-1, len(skeleton), 3) if has_raw else None,
            frame=frame,
            time_s=options.time_s(frame) if time_s is None else time_s,
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{where}: this is no line of lightpose's poses ({type(error).__name__}: {error})") from error


def _joints(row: Mapping[str, Any], skeleton: Skeleton, where: str) -> list[tuple[float, float, float]]:
    if tuple(row) != skeleton.joints and set(row) != set(skeleton.joints):
        raise DataError(f"{where}: a person has other joints than the first one; convert the files apart")
    return [
        (real(p["x"], where, True), real(p["y"], where, True), real(p["score"], where, True))
        for p in (row[joint] for joint in skeleton.joints)
    ]
